"""Comparison of JSON lines files: rows added, removed, changed or moved.

Rows are matched by their bytes, then by their values, so that an inserted row leaves all others unchanged. Only
unmatched rows are parsed; among them a changed row is found by a key, or by similarity to its old form. Memory use
is one hash per row.
"""

import hashlib
import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tapeout.compare.file_comparison import Detail, FileComparison, Level, Unreadable, counted, unmoved
from tapeout.compare.values import ValueChange, agrees, differences, parse
from tapeout.config.comparison import Bounds
from tapeout.graph.identity.digest import canonical

KEYS = (("id",), ("uuid",), ("key",), ("name", "number"), ("name",), ("piece",), ("path",), ("prompt",))
"""Fields that together identify a row if they are unique among the rows that differ; rows of different keys are never
one row that changed. A digest of the content is not one of
them, because it changes with the content; rows of one digest are paired before, because a path may hold the number of a
row, and an inserted row changes the numbers after it."""

MAX_UNMATCHED = 50_000
"""Unmatched rows of a file among which changed ones are searched."""
MAX_SHARED = 32
"""Rows that may share a field's value for it to suggest a pair."""
MAX_CANDIDATES = 4
"""Candidates compared with every unmatched old row."""
MIN_SIMILARITY = 0.5
"""Fraction of common words at which a new row counts as the changed form of an old one."""


@dataclass(frozen=True)
class RowChange:
    """One row that differs; ``old`` and ``new`` are line numbers from 1, ``row`` is the row added or removed."""

    state: str
    old: int | None
    new: int | None
    fields: tuple[ValueChange, ...]
    row: Any


@dataclass(frozen=True)
class RowsDetail(Detail):
    """Counts and differences of rows; ``moved`` counts equal rows whose order changed."""

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
    """Index of a file: offset, line number and hash of every row."""

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
        """Return the value of a row; raise ``Unreadable`` if it is not JSON."""
        return parse(self.text(index), f"line {self.lines[index]} of {self.what}")

    def text(self, index: int) -> bytes:
        """Return the bytes of a row."""
        self.file.seek(self.offsets[index])
        return self.file.readline().strip()


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def compare_rows(old: Path, new: Path, bounds: Bounds, limit: int | None) -> FileComparison:
    """Compare two JSON lines files; a line that is not JSON is compared as text."""
    with open(old, "rb") as left, open(new, "rb") as right:
        return _Comparison(_File("the old file", left), _File("the new file", right)).result(bounds, limit)


class _Comparison:
    """Assignment of rows by index: ``matched`` has the pairs of equal rows, ``pairs`` those of changed ones."""

    def __init__(self, old: _File, new: _File) -> None:
        self.old, self.new = old, new
        self.remark = ""
        self.matched: list[tuple[int, int]] = []
        left, right = self._match(range(len(old.hashes)), old.hashes, range(len(new.hashes)), new.hashes)
        left, right = self._match(left, self._values(old, left), right, self._values(new, right))
        self.matched.sort(key=lambda pair: pair[1])
        self.moved = len(self.matched) - len(unmoved([a for a, _ in self.matched]))
        self.pairs = self._pairs(left, right)
        paired_old, paired_new = {a for a, _ in self.pairs}, {b for _, b in self.pairs}
        self.removed = [a for a in left if a not in paired_old]
        self.added = [b for b in right if b not in paired_new]

    def _match(
        self, left: range | list[int], left_hashes: list[bytes], right: range | list[int], right_hashes: list[bytes]
    ) -> tuple[list[int], list[int]]:
        """Match rows of equal hashes in order, and return the indices of the unmatched rows of both files."""
        waiting: dict[bytes, list[int]] = defaultdict(list)
        for index, digest in zip(reversed(left), reversed(left_hashes), strict=True):
            waiting[digest].append(index)
        rest = []
        for index, digest in zip(right, right_hashes, strict=True):
            if waiting.get(digest):
                self.matched.append((waiting[digest].pop(), index))
            else:
                rest.append(index)
        return sorted(index for indices in waiting.values() for index in indices), rest

    def _values(self, file: _File, indices: list[int]) -> list[bytes]:
        """Return hashes of the values of rows, or of their bytes where they are not JSON."""
        hashes = []
        for index in indices:
            try:
                hashes.append(_hash(canonical(file.value(index))))
            except Unreadable as error:
                self.remark = self.remark or error.cause.removesuffix(".")
                hashes.append(file.hashes[index])
        return hashes

    def _pairs(self, left: list[int], right: list[int]) -> list[tuple[int, int]]:
        """Pair old and new forms of changed rows: by the digest of their content, by a key, else by similarity."""
        if min(len(left), len(right), 1) == 0:
            return []
        if max(len(left), len(right)) > MAX_UNMATCHED:
            self.remark = self.remark or "too many rows differ to distinguish changed rows from new ones"
            return []
        same_content = self._of_key(left, right, ("digest",)) or []
        old, new = {a for a, _ in same_content}, {b for _, b in same_content}
        left, right = [a for a in left if a not in old], [b for b in right if b not in new]
        for key in KEYS:
            if (pairs := self._of_key(left, right, key)) is not None:
                return sorted([*same_content, *pairs])
        return sorted([*same_content, *self._similar(left, right)])

    def _of_key(self, left: list[int], right: list[int], key: tuple[str, ...]) -> list[tuple[int, int]] | None:
        """Pair the rows with the same values of a key; None unless all rows have it, unique in either file."""
        before, after = self._by_key(self.old, left, key), self._by_key(self.new, right, key)
        if not before or not after:
            return None
        return [(before[name], after[name]) for name in before.keys() & after.keys()]

    @staticmethod
    def _by_key(file: _File, indices: list[int], key: tuple[str, ...]) -> dict[str, int]:
        """Return indices by the values of a key; empty unless the key is unique in all rows."""
        by_value: dict[str, int] = {}
        for index in indices:
            row = _row(file, index)
            values = [row.get(name) for name in key] if isinstance(row, dict) else []
            if not values or not all(isinstance(value, str | int) for value in values) or repr(values) in by_value:
                return {}
            by_value[repr(values)] = index
        return by_value

    def _similar(self, left: list[int], right: list[int]) -> list[tuple[int, int]]:
        """Pair every old row with the most similar of a few candidates."""
        sharing: dict[bytes, list[int]] = defaultdict(list)
        for index in right:
            for feature in _features(_row(self.new, index)):
                sharing[feature].append(index)
        same_position = self._same_position(left, right)
        pairs: list[tuple[int, int]] = []
        paired: set[int] = set()
        for index in left:
            hints: Counter[int] = Counter()
            for feature in _features(_row(self.old, index)):
                rows = sharing.get(feature, [])
                hints.update(dict.fromkeys(rows, 1) if len(rows) <= MAX_SHARED else {})
            candidates = [other for other, _ in sorted(hints.items(), key=lambda hint: (-hint[1], hint[0]))]
            candidates = [other for other in candidates if other not in paired][:MAX_CANDIDATES]
            if index in same_position and same_position[index] not in (*candidates, *paired):
                candidates.append(same_position[index])
            words = _words(self.old.text(index))
            scores = [(_similarity(words, _words(self.new.text(other))), -other) for other in candidates]
            if scores and max(scores)[0] >= MIN_SIMILARITY:
                pairs.append((index, -max(scores)[1]))
                paired.add(-max(scores)[1])
        return sorted(pairs)

    def _same_position(self, left: list[int], right: list[int]) -> dict[int, int]:
        """Map old rows to the new ones at the same distance after the same matched row."""
        partner = dict(self.matched)
        by_position = {position: index for index, position in _positions(right)}
        pairs = {}
        for index, (anchor, distance) in _positions(left):
            other = by_position.get((partner.get(anchor, -1), distance))
            if other is not None:
                pairs[index] = other
        return pairs

    def result(self, bounds: Bounds, limit: int | None) -> FileComparison:
        """Return the result with at most ``limit`` rows."""
        added, removed, changed = len(self.added), len(self.removed), len(self.pairs)
        if not (added or removed or changed or self.moved):
            return FileComparison(Level.VALUES, "the same rows, written differently")
        counts = counted(
            (added, "row~ added"), (removed, "row~ removed"), (changed, "row~ changed"), (self.moved, "row~ moved")
        )
        old_rows, new_rows = len(self.old.hashes), len(self.new.hashes)
        assigned = sorted(self.matched + self.pairs, key=lambda pair: pair[1])
        in_place = len(unmoved([a for a, _ in assigned])) == max(old_rows, new_rows)
        level = Level.METRICS if in_place else Level.NONE
        rows: list[RowChange] = []
        for change in self._changes():
            if not all(agrees(field, bounds) for field in change.fields):
                level = Level.NONE
            if limit is None or len(rows) < limit:
                rows.append(change)
            elif level is Level.NONE:
                break
        counts += " within the bounds" if level is Level.METRICS else ""
        detail = RowsDetail(old_rows, new_rows, added, removed, changed, self.moved, self.remark, tuple(rows))
        return FileComparison(level, f"{self.remark}; {counts}" if self.remark else counts, detail)

    def _changes(self) -> Iterator[RowChange]:
        """Yield changed, removed and added rows, each in the order of the file."""
        for a, b in self.pairs:
            fields = tuple(differences(_row(self.old, a), _row(self.new, b)))
            yield RowChange("changed", self.old.lines[a], self.new.lines[b], fields, None)
        for a in self.removed:
            yield RowChange("removed", self.old.lines[a], None, (), _row(self.old, a))
        for b in self.added:
            yield RowChange("added", None, self.new.lines[b], (), _row(self.new, b))


def _positions(indices: list[int]) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield every index with its position: the last index before it that is not in the list, and the distance."""
    distance, previous = 0, -2
    for index in indices:
        distance = distance + 1 if index == previous + 1 else 1
        previous = index
        yield index, (index - distance, distance)


def _row(file: _File, index: int) -> Any:
    """Return the value of a row, or its text where it is not JSON."""
    try:
        return file.value(index)
    except Unreadable:
        return file.text(index).decode(errors="replace")


def _features(row: Any) -> list[bytes]:
    """Return hashes of the fields of a row."""
    return [_hash(canonical([name, value])) for name, value in row.items()] if isinstance(row, dict) else []


def _words(text: bytes) -> Counter[bytes]:
    return Counter(re.findall(rb"\w+", text))


def _similarity(old: Counter[bytes], new: Counter[bytes]) -> float:
    """Return the Dice coefficient of the words of two rows, 0 to 1."""
    return 2 * (old & new).total() / max(old.total() + new.total(), 1)
