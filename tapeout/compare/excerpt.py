"""Where two texts differ, word by word, in the few words that fit a line."""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

LONGEST = 4_000
"""Words in which the places that differ are told apart; in more they count as one place."""


@dataclass(frozen=True)
class Excerpt:
    """The first place where two texts differ, with a little of what stands around it, and how many more there are.

    ``after`` holds what follows in the old text and in the new one: the same until the next place that differs.
    """

    before: str
    old: str
    new: str
    after: tuple[str, str]
    more: int


def excerpt(old: str, new: str, width: int) -> Excerpt:
    """The first place where two texts differ.

    Args:
        old, new: the texts.
        width: characters that each form of the place may take, with what stands around it.
    """
    left, right = _words(old), _words(new)
    start = _common(left, right)
    end = _common(left[start:][::-1], right[start:][::-1])
    middle = left[start : len(left) - end], right[start : len(right) - end]
    hunks = [(0, len(middle[0]), 0, len(middle[1]))]
    if max(len(words) for words in middle) <= LONGEST:
        found = SequenceMatcher(None, *middle).get_opcodes()
        told_apart = [(a, b, c, d) for tag, a, b, c, d in found if tag != "equal"] or hunks
        if max(len("".join(words)) for words in middle) > width // 2:  # else all places fit as one
            hunks = told_apart
    a, b, c, d = hunks[0]
    behind = "".join(left[start + b :]), "".join(right[start + d :])
    was, now = "".join(middle[0][a:b]), "".join(middle[1][c:d])
    ahead, half = "".join(left[: start + a]), width // 2
    room = max(half, width - max(len(was), len(now)))
    rest = max(room // 2, room - len(ahead))
    after = _clipped(behind[0], rest), _clipped(behind[1], rest)
    before = _clipped(ahead[::-1], room - max(len(text) for text in after))[::-1]
    return Excerpt(before, _clipped(was, half), _clipped(now, half), after, len(hunks) - 1)


def _words(text: str) -> list[str]:
    return re.findall(r"\s+|\w+|[^\w\s]", text)


def _common(left: list[str], right: list[str]) -> int:
    """How many words two texts begin with alike."""
    both = min(len(left), len(right))
    return next((index for index in range(both) if left[index] != right[index]), both)


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
