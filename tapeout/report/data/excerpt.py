"""Texts of test rows with what a training set holds of them marked."""

from collections.abc import Sequence
from dataclasses import dataclass

from tapeout.data.io.ngrams import spans_of
from tapeout.inspection.overlap import Ranges

LONGEST = 900
"""Characters that are shown."""
BEFORE = 80
"""Characters before the first that is marked."""


@dataclass(frozen=True)
class Piece:
    """A part of a text; ``held`` if the training set has it."""

    text: str
    held: bool


def marked(text: str, runs: Ranges, length: int) -> list[Piece]:
    """A text from shortly before the first held run on, cut into parts that are held and parts that are not.

    Args:
        text: of the test row.
        runs: first and last of the held runs.
        length: words of a run.
    """
    spans = spans_of(text)
    held = [(spans[first][0], spans[min(last + length, len(spans)) - 1][1]) for first, last in runs]
    start = max(held[0][0] - BEFORE, 0)
    end = min(start + LONGEST, len(text))
    pieces = [Piece("… ", False)] if start else []
    place = start
    for first, last in _joined(held):
        if first >= end:
            break
        pieces += [Piece(text[place:first], False), Piece(text[first : min(last, end)], True)]
        place = min(last, end)
    pieces.append(Piece(text[place:end], False))
    if end < len(text):
        pieces.append(Piece(" …", False))
    return [piece for piece in pieces if piece.text]


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in spans:
        if joined and first <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(last, joined[-1][1])
        else:
            joined.append((first, last))
    return joined
