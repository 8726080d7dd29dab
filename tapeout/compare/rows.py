"""JSON lines: which rows were added, removed, changed or moved, with a hash of each row in memory and not the rows.

Rows are matched by their bytes, then by their value, so that a row that was put in leaves all others alone. Only what
is left is read: there a changed row is found by a key, or by what it shares with the row that it was.
"""

import hashlib
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tapeout.compare.file_comparison import Detail, Found, Level, Unreadable, counted
from tapeout.compare.order import in_order
from tapeout.compare.values import ValueChange, agrees, differences, parse
from tapeout.config.comparison import Bounds
from tapeout.graph.identity.digest import canonical

KEYS = ("id", "uuid", "key", "path")
"""Fields that name a row, if they tell apart all rows that differ. A content's digest does not: it changes with it."""

PAIRED = 50_000
"""So many rows may be left on each side to look for changed ones among them."""

COMMON, TRIED, ALIKE = 32, 4, 0.5
"""A value that more rows share does not hint at a pair; so many hints are followed; such a part of the words must be
the same for one row to be called the changed form of another."""


@dataclass(frozen=True)
class RowChange:
    """One row that differs. ``old`` and ``new`` are line numbers, from 1; ``row`` is what was added or removed."""

    state: str
    old: int | None
    new: int | None
    fields: tuple[ValueChange, ...]
    row: Any


@dataclass(frozen=True)
class RowsDetail(Detail):
    """Rows by what became of them; ``moved`` are equal but stand elsewhere."""

    kind = "rows"

    old_rows: int
    new_rows: int
    added: int
    removed: int
    changed: int
    moved: int
    remark: str
    rows: tuple[RowChange, ...]


class _File:
    """A file of rows: where each begins, its line number, and a hash of its bytes."""

    def __init__(self, what: str, file: BinaryIO) -> None:
        self.what, self.file = what, file
        self.offsets, self.lines = array("Q"), array("Q")
        self.hashes: list[bytes] = []
        offset = 0
        for number, line in enumerate(file, start=1):
            text = line.strip()
            if text:
                self.offsets.append(offset)
                self.lines.append(number)
                self.hashes.append(_hash(text))
            offset += len(line)

    def value(self, index: int) -> Any:
        """The value of a row; raises ``Unreadable`` if it has none."""
        return parse(self.text(index), f"line {self.lines[index]} of {self.what}")

    def text(self, index: int) -> bytes:
        """The bytes of a row."""
        self.file.seek(self.offsets[index])
        return self.file.readline().strip()


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def compare_rows(old: Path, new: Path, bounds: Bounds, limit: int | None) -> Found:
    """Two files of JSON lines; a line that is no JSON is a row of its own kind, compared as it stands."""
    with open(old, "rb") as left, open(new, "rb") as right:
        return _Comparison(_File("the old file", left), _File("the new file", right)).found(bounds, limit)


class _Comparison:
    """What became of the rows: ``matched`` has pairs of equal ones, ``pairs`` changed ones, by index."""

    def __init__(self, old: _File, new: _File) -> None:
        self.old, self.new = old, new
        self.remark = ""
        self.matched: list[tuple[int, int]] = []
        left, right = self._match(range(len(old.hashes)), old.hashes, range(len(new.hashes)), new.hashes)
        left, right = self._match(left, self._values(old, left), right, self._values(new, right))
        self.matched.sort(key=lambda pair: pair[1])
        self.moved = len(self.matched) - len(in_order([a for a, _ in self.matched]))
        self.pairs = self._pairs(left, right)
        taken_old, taken_new = {a for a, _ in self.pairs}, {b for _, b in self.pairs}
        self.removed = [a for a in left if a not in taken_old]
        self.added = [b for b in right if b not in taken_new]

    def _match(
        self, left: range | list[int], left_hashes: list[bytes], right: range | list[int], right_hashes: list[bytes]
    ) -> tuple[list[int], list[int]]:
        """Match rows of equal hashes, the first with the first; returns the indices of those that are left."""
        waiting: dict[bytes, list[int]] = defaultdict(list)
        for index, found in zip(reversed(left), reversed(left_hashes), strict=True):
            waiting[found].append(index)
        rest = []
        for index, found in zip(right, right_hashes, strict=True):
            if waiting.get(found):
                self.matched.append((waiting[found].pop(), index))
            else:
                rest.append(index)
        return sorted(index for indices in waiting.values() for index in indices), rest

    def _values(self, file: _File, indices: list[int]) -> list[bytes]:
        """Hashes of the rows' values; of their bytes where they have none."""
        found = []
        for index in indices:
            try:
                found.append(_hash(canonical(file.value(index))))
            except Unreadable as error:
                self.remark = self.remark or error.cause.removesuffix(".")
                found.append(file.hashes[index])
        return found

    def _pairs(self, left: list[int], right: list[int]) -> list[tuple[int, int]]:
        """Changed rows: by a key, else by what they share and where they stand."""
        if min(len(left), len(right), 1) == 0:
            return []
        if max(len(left), len(right)) > PAIRED:
            self.remark = self.remark or "too many rows differ to tell changed ones from new ones"
            return []
        for key in KEYS:
            sides = [self._by_key(self.old, left, key), self._by_key(self.new, right, key)]
            if all(sides) and (common := sides[0].keys() & sides[1].keys()):
                return sorted((sides[0][name], sides[1][name]) for name in common)
        return self._alike(left, right)

    @staticmethod
    def _by_key(file: _File, indices: list[int], key: str) -> dict[str, int]:
        """Indices by the value of a key; empty unless every row has one of its own."""
        found: dict[str, int] = {}
        for index in indices:
            row = _row(file, index)
            value = row.get(key) if isinstance(row, dict) else None
            if not isinstance(value, str | int) or repr(value) in found:
                return {}
            found[repr(value)] = index
        return found

    def _alike(self, left: list[int], right: list[int]) -> list[tuple[int, int]]:
        """Pair each old row with the new one that shares most of its words, among a few that something hints at."""
        sharing: dict[bytes, list[int]] = defaultdict(list)
        for index in right:
            for feature in _features(_row(self.new, index)):
                sharing[feature].append(index)
        beside = self._beside(left, right)
        pairs: list[tuple[int, int]] = []
        taken: set[int] = set()
        for index in left:
            hints: Counter[int] = Counter()
            for feature in _features(_row(self.old, index)):
                rows = sharing.get(feature, [])
                hints.update(dict.fromkeys(rows, 1) if len(rows) <= COMMON else {})
            tried = [other for other, _ in sorted(hints.items(), key=lambda hint: (-hint[1], hint[0]))]
            tried = [other for other in tried if other not in taken][:TRIED]
            if index in beside and beside[index] not in (*tried, *taken):
                tried.append(beside[index])
            words = _words(self.old.text(index))
            scores = [(_likeness(words, _words(self.new.text(other))), -other) for other in tried]
            if scores and max(scores)[0] >= ALIKE:
                pairs.append((index, -max(scores)[1]))
                taken.add(-max(scores)[1])
        return sorted(pairs)

    def _beside(self, left: list[int], right: list[int]) -> dict[int, int]:
        """For an old row the new one that stands in its place: behind the same equal row, at the same distance."""
        partner = dict(self.matched)
        standing = {place: index for index, place in _places(right)}
        found = {}
        for index, (anchor, distance) in _places(left):
            other = standing.get((partner.get(anchor, -1), distance))
            if other is not None:
                found[index] = other
        return found

    def found(self, bounds: Bounds, limit: int | None) -> Found:
        """The outcome."""
        added, removed, changed = len(self.added), len(self.removed), len(self.pairs)
        if not (added or removed or changed or self.moved):
            return Found(Level.VALUES, "the same rows, written otherwise")
        words = counted(
            (added, "row~ added"), (removed, "row~ removed"), (changed, "row~ changed"), (self.moved, "row~ moved")
        )
        old_rows, new_rows = len(self.old.hashes), len(self.new.hashes)
        together = sorted(self.matched + self.pairs, key=lambda pair: pair[1])
        in_place = len(in_order([a for a, _ in together])) == max(old_rows, new_rows)
        level = Level.METRICS if in_place else Level.NONE
        rows: list[RowChange] = []
        for change in self._changes():
            if not all(agrees(field, bounds) for field in change.fields):
                level = Level.NONE
            if limit is None or len(rows) < limit:
                rows.append(change)
            elif level is Level.NONE:
                break
        words += " within the bounds" if level is Level.METRICS else ""
        detail = RowsDetail(old_rows, new_rows, added, removed, changed, self.moved, self.remark, tuple(rows))
        return Found(level, f"{self.remark}; {words}" if self.remark else words, detail)

    def _changes(self) -> Iterator[RowChange]:
        """Changed rows, then removed ones, then added ones, each in the order of the file."""
        for a, b in self.pairs:
            fields = tuple(differences(_row(self.old, a), _row(self.new, b)))
            yield RowChange("changed", self.old.lines[a], self.new.lines[b], fields, None)
        for a in self.removed:
            yield RowChange("removed", self.old.lines[a], None, (), _row(self.old, a))
        for b in self.added:
            yield RowChange("added", None, self.new.lines[b], (), _row(self.new, b))


def _places(indices: list[int]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Each index with the last one before it that is not in the list, and the distance to that one."""
    distance, previous = 0, -2
    for index in indices:
        distance = distance + 1 if index == previous + 1 else 1
        previous = index
        yield index, (index - distance, distance)


def _row(file: _File, index: int) -> Any:
    """A row's value, or its text where it is no JSON."""
    try:
        return file.value(index)
    except Unreadable:
        return file.text(index).decode(errors="replace")


def _features(row: Any) -> list[bytes]:
    """Hashes of a row's fields."""
    return [_hash(canonical([name, value])) for name, value in row.items()] if isinstance(row, dict) else []


def _words(text: bytes) -> Counter[bytes]:
    return Counter(re.findall(rb"\w+", text))


def _likeness(old: Counter[bytes], new: Counter[bytes]) -> float:
    """Part of the words of two rows that both have, 0 to 1."""
    return 2 * (old & new).total() / max(old.total() + new.total(), 1)
