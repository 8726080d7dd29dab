"""Comparison of JSON documents: values that differ, by dotted name, and whether they agree within bounds."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from tapeout.compare.file_comparison import Detail, FileComparison, Level, Unreadable, counted
from tapeout.config.comparison import Bounds
from tapeout.graph.identity.digest import canonical
from tapeout.guard.nesting import is_nested_deeply

KEYS = ("id", "digest", "key", "name", "label", "step")
"""Members that identify the items of a list if they are unique in it."""

MAX_ALIGNED = 5_000
"""Items of lists without keys that are aligned, in quadratic time; longer lists are compared index by index."""


@dataclass(frozen=True)
class ValueChange:
    """One value that differs.

    Attributes:
        name: dotted, with list indices as numbers.
        state: ``changed``, ``added`` (``old`` is None) or ``removed`` (``new`` is None).
        in_lists: number of lists around the value.
    """

    name: str
    state: str
    old: Any
    new: Any
    in_lists: int = 0

    @property
    def delta(self) -> float | None:
        """Change of a number; None if the values are not numbers."""
        numbers = [value for value in (self.old, self.new) if type(value) in (int, float)]
        return numbers[1] - numbers[0] if len(numbers) == 2 else None


@dataclass(frozen=True)
class ValuesDetail(Detail):
    """The values that differ: those outside lists first."""

    kind = "json"

    total: int
    changes: tuple[ValueChange, ...]


def parse(data: bytes, what: str) -> Any:
    """Return the value of a JSON document.

    Raises:
        Unreadable: it is not JSON, repeats a key, contains an integer of more than 64 bits, or is nested too deeply.
    """
    try:
        value = json.loads(data, object_pairs_hook=_unique, parse_int=_integer)
        if is_nested_deeply(value):
            raise ValueError("nested too deeply")
        canonical(value)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{what} is not JSON: {_reason(error)}.", "Build it again.") from error
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is repeated")
    return value


def _integer(text: str) -> int:
    value = int(text)
    if not -(2**63) <= value < 2**64:
        raise ValueError("an integer has more than 64 bits")
    return value


def _reason(error: BaseException) -> str:
    return "nested too deeply" if isinstance(error, RecursionError) else str(error)


def compare_values(old: Any, new: Any, bounds: Bounds, limit: int | None) -> FileComparison:
    """Compare two JSON values."""
    if canonical(old) == canonical(new):
        return FileComparison(Level.VALUES, "the same values, written differently")
    changes = list(differences(old, new))
    level, counts = _judge(changes, bounds)
    changes.sort(key=lambda change: change.in_lists)  # stable: the headline figures first
    return FileComparison(level, counts, ValuesDetail(len(changes), tuple(changes[:limit])))


def _judge(changes: list[ValueChange], bounds: Bounds) -> tuple[Level, str]:
    """Return the level that differing values reach, and their counts."""
    outside = [change for change in changes if not agrees(change, bounds)]
    if not outside:
        return Level.METRICS, f"{counted((len(changes), 'value~ changed'))} within the bounds"
    states = [change.state for change in outside]
    counts = counted(*((states.count(state), f"value~ {state}") for state in ("added", "removed", "changed")))
    within = len(changes) - len(outside)
    return Level.NONE, f"{counts}; {within:,} more within the bounds" if within else counts


def agrees(change: ValueChange, bounds: Bounds) -> bool:
    """Return whether a change is within the bounds."""
    return change.state == "changed" and bounds.agree(change.name, change.old, change.new)


def differences(old: Any, new: Any, name: str = "", in_lists: int = 0) -> Iterator[ValueChange]:
    """Yield all values that differ, in the order of the documents."""
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
    """Pair the items of two lists, so that an inserted item does not change all that follow it.

    Items are paired by a unique key if their order is the same. Otherwise they are paired by index, or, in lists of
    different lengths that are not too long, by equality.
    """
    keys = _keys(old, new)
    blocks = [("replace", 0, len(old), 0, len(new))]
    if keys is not None or (len(old) != len(new) and max(len(old), len(new)) <= MAX_ALIGNED):
        left, right = keys or ([_text(item) for item in old], [_text(item) for item in new])
        blocks = list(SequenceMatcher(None, left, right).get_opcodes())
    for tag, a, b, c, d in blocks:
        both = min(b - a, d - c) if keys is None or tag == "equal" else 0
        yield from ((str(c + step), old[a + step], new[c + step]) for step in range(both))
        yield from ((str(index), old[index], _ABSENT) for index in range(a + both, b))
        yield from ((str(index), _ABSENT, new[index]) for index in range(c + both, d))


def _keys(old: list[Any], new: list[Any]) -> tuple[list[str], list[str]] | None:
    for key in KEYS:
        left, right = ([_scalar(item, key) for item in items] for items in (old, new))
        if all(None not in keys and len(set(keys)) == len(keys) for keys in (left, right)):
            common = set(left) & set(right)
            if [k for k in left if k in common] == [k for k in right if k in common]:
                return [str(k) for k in left], [str(k) for k in right]
    return None


def _text(item: Any) -> str:
    return canonical(item).decode()


def _scalar(item: Any, key: str) -> str | None:
    value = item.get(key) if isinstance(item, dict) else None
    return repr(value) if isinstance(value, str | int) else None
