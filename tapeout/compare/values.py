"""JSON documents as values: which of them differ, by dotted name, and whether they agree within bounds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from tapeout.compare.file_comparison import Detail, Found, Level, Unreadable, counted
from tapeout.config.comparison import Bounds
from tapeout.graph.identity.digest import canonical

KEYS = ("id", "digest", "key", "name", "label", "step")
"""Members by which the items of a list are known, if they tell all of them apart."""


MOST_ITEMS = 5_000
"""Of two longer lists without keys the items are compared one by one: the time to align them grows squared."""


@dataclass(frozen=True)
class ValueChange:
    """One value that differs; ``name`` is dotted, list indices as numbers. ``in_lists`` counts the lists around it.

    ``state`` is ``changed``, ``added`` (``old`` is None) or ``removed`` (``new`` is None).
    """

    name: str
    state: str
    old: Any
    new: Any
    in_lists: int = 0

    @property
    def delta(self) -> float | None:
        """By how much a number changed."""
        numbers = [value for value in (self.old, self.new) if type(value) in (int, float)]
        return numbers[1] - numbers[0] if len(numbers) == 2 else None


@dataclass(frozen=True)
class ValuesDetail(Detail):
    """The values that differ: those that stand alone before those in lists."""

    kind = "json"

    total: int
    changes: tuple[ValueChange, ...]


def parse(data: bytes, what: str) -> Any:
    """The value of a JSON document.

    Raises:
        Unreadable: it is no JSON, repeats a key, holds a number that not every program reads alike, or is nested too
            deeply.
    """
    try:
        value = json.loads(data, object_pairs_hook=_unique, parse_int=_whole)
        canonical(value)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{what} is not JSON: {_short(error)}.", "Build it again.") from error
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is repeated")
    return found


def _whole(text: str) -> int:
    value = int(text)
    if not -(2**63) <= value < 2**64:
        raise ValueError("a whole number has more than 64 bits")
    return value


def _short(error: BaseException) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def compare_values(old: Any, new: Any, bounds: Bounds, limit: int | None) -> Found:
    """Two JSON values."""
    if canonical(old) == canonical(new):
        return Found(Level.VALUES, "the same values, written otherwise")
    changes = list(differences(old, new))
    level, words = judged(changes, bounds)
    changes.sort(key=lambda change: change.in_lists)  # stable: the headline figures first
    return Found(level, words, ValuesDetail(len(changes), tuple(changes[:limit])))


def judged(changes: list[ValueChange], bounds: Bounds) -> tuple[Level, str]:
    """The level that differing values reach, and how many they are."""
    outside = [change for change in changes if not agrees(change, bounds)]
    if not outside:
        return Level.METRICS, f"{counted((len(changes), 'value~ changed'))} within the bounds"
    states = [change.state for change in outside]
    words = counted(*((states.count(state), f"value~ {state}") for state in ("added", "removed", "changed")))
    within = len(changes) - len(outside)
    return Level.NONE, f"{words}; {within:,} more within the bounds" if within else words


def agrees(change: ValueChange, bounds: Bounds) -> bool:
    """Whether a change lies within the bounds."""
    return change.state == "changed" and bounds.agree(change.name, change.old, change.new)


def differences(old: Any, new: Any, name: str = "", in_lists: int = 0) -> Iterator[ValueChange]:
    """All values that differ, in the order of the documents."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        pairs = [(key, old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in keys]
    elif isinstance(old, list) and isinstance(new, list):
        pairs, in_lists = list(_aligned(old, new)), in_lists + 1
    else:
        if type(old) is not type(new) or repr(old) != repr(new):
            yield ValueChange(name, "changed", old, new, in_lists)
        return
    for key, before, after in pairs:
        inner = f"{name}.{key}" if name else key
        if before is _ABSENT:
            yield ValueChange(inner, "added", None, after, in_lists)
        elif after is _ABSENT:
            yield ValueChange(inner, "removed", before, None, in_lists)
        else:
            yield from differences(before, after, inner, in_lists)


_ABSENT = object()


def _aligned(old: list[Any], new: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Items of two lists that belong together, so that one that was put in does not change all behind it.

    By a key that tells them apart, as long as the order is the same; else one by one, or, where one list is longer (and
    not very long), by the items that are equal.
    """
    keys = _keys(old, new)
    places = [("replace", 0, len(old), 0, len(new))]
    if keys is not None or (len(old) != len(new) and max(len(old), len(new)) <= MOST_ITEMS):
        left, right = keys or ([_text(item) for item in old], [_text(item) for item in new])
        places = list(SequenceMatcher(None, left, right).get_opcodes())
    for tag, a, b, c, d in places:
        both = min(b - a, d - c) if keys is None or tag == "equal" else 0
        yield from ((str(c + step), old[a + step], new[c + step]) for step in range(both))
        yield from ((str(index), old[index], _ABSENT) for index in range(a + both, b))
        yield from ((str(index), _ABSENT, new[index]) for index in range(c + both, d))


def _keys(old: list[Any], new: list[Any]) -> tuple[list[str], list[str]] | None:
    for key in KEYS:
        sides = [[_scalar(item, key) for item in items] for items in (old, new)]
        left, right = sides
        if all(None not in side and len(set(side)) == len(side) for side in sides):
            common = set(left) & set(right)
            if [k for k in left if k in common] == [k for k in right if k in common]:
                return [str(k) for k in left], [str(k) for k in right]
    return None


def _text(item: Any) -> str:
    return canonical(item).decode()


def _scalar(item: Any, key: str) -> str | None:
    value = item.get(key) if isinstance(item, dict) else None
    return repr(value) if isinstance(value, str | int) else None
