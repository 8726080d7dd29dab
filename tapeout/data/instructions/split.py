"""Divide a set into training, validation and test rows; rows of a group share a split.

Rows that must share a split form a cluster: rows of one group, and groups with equal or near-duplicate questions. The
split of a cluster depends on the smallest number of its groups, and the number of a group on a seed and its name alone.
So rows that are inserted, removed or reordered move no row that is not near to them. ``exact`` counts cannot have that
property: the rows at the border move, category by category.

A set may have held-out sources: their rows are the test rows, and a cluster with such a row is kept out of training.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tapeout.config.instructions import SPLITS, Split
from tapeout.data.errors import BadRow
from tapeout.data.instructions.question_clusters import Keys, UnionFind, near_pairs
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import fraction_of


class StoredRow(NamedTuple):
    """Fields of a row that the split needs; the whole line is in a file.

    Attributes:
        category: kind of the row.
        group: rows of one group share a split.
        question: text that is compared to find near-duplicates.
        digest: SHA-256 of the content; it orders the rows.
        source: name of the source.
        answer_start: start of the answer in the input, by which rows of one digest may differ; 0 if there is none.
        offset: start of the line in the file.
        size: bytes of the line.
    """

    category: str
    group: str
    question: str
    digest: str
    source: str
    answer_start: int = 0
    offset: int = 0
    size: int = 0


@dataclass(slots=True)
class Cluster:
    """Rows that share a split.

    Attributes:
        rows: the rows, by digest.
        number: number from 0 to 1 that decides on the split.
        category: category of the first row.
    """

    rows: list[StoredRow]
    number: float
    category: str


Splits = dict[str, list[StoredRow]]


def split_rows(
    rows: Iterable[StoredRow],
    keys: Mapping[str, Keys],
    options: Split,
    held_out: Collection[str],
    report: ImportReport,
) -> tuple[Splits, dict[str, int]]:
    """Return the rows of each split, ordered by digest, and figures for the report.

    Args:
        rows: all rows of the set.
        keys: MinHash keys of every question, see ``question_clusters``; not used if ``near_duplicates`` is 1.
        options: fractions and seed.
        held_out: sources whose rows are test rows.
        report: updated with the dropped rows.

    Raises:
        BadRow: the same question has two answers, and the options say stop.
    """
    every = sorted(rows, key=_order)
    distinct = _distinct(every, report) if options.equal_rows == "drop" else every
    if options.conflicting_rows == "stop":
        _check_conflicts(distinct)
    clusters, joins = clustered(distinct, keys, options, every)
    splits: Splits = {name: [] for name in SPLITS}
    free = []
    for cluster in clusters:
        test = [row for row in cluster.rows if row.source in held_out]
        splits["test"] += test
        if test and len(test) < len(cluster.rows):
            report.drop("group or question of a held-out source", None, len(cluster.rows) - len(test))
        if not test:
            free.append(cluster)
    (_exact if options.counts == "exact" else _stable)(free, options, splits)
    figures = {
        "clusters": len(clusters),
        "groups joined by near-duplicates": joins,
        "rows in the largest cluster": max((len(cluster.rows) for cluster in clusters), default=0),
    }
    return {name: sorted(splits[name], key=_order) for name in SPLITS}, figures


def _order(row: StoredRow) -> tuple[str, str, str, int]:
    return row.digest, row.source, row.group, row.answer_start


def _distinct(rows: Sequence[StoredRow], report: ImportReport) -> list[StoredRow]:
    """Return the first row of each digest, in an order that does not depend on the order of the files."""
    distinct = {row.digest: row for row in reversed(rows)}
    if len(distinct) < len(rows):
        report.drop("row equal to another", None, len(rows) - len(distinct))
    return sorted(distinct.values(), key=_order)


def _check_conflicts(rows: Iterable[StoredRow]) -> None:
    digests: dict[str, str] = {}
    for row in rows:
        if digests.setdefault(row.question, row.digest) != row.digest:
            raise BadRow(
                f"question {row.question[:120]!r}",
                "two rows with it have different answers or categories",
                fix="Remove one of them, or set split.conflicting_rows: keep for the set.",
            )


def clustered(
    rows: Sequence[StoredRow], keys: Mapping[str, Keys], options: Split, every: Sequence[StoredRow]
) -> tuple[list[Cluster], int]:
    """Return the clusters, and how many joins among groups near-duplicates caused.

    Args:
        rows: the rows to cluster.
        keys: MinHash keys of their questions.
        options: minimum similarity and seed.
        every: these rows and those that are equal to one of them, whose groups belong together too.
    """
    groups: dict[str, int] = {}
    for row in every:
        groups.setdefault(row.group, len(groups))
    together = UnionFind(len(groups))
    first: dict[str, StoredRow] = {}
    joins = 0
    for row in every:
        joins += together.join(groups[first.setdefault(row.question, row).group], groups[row.group])
    if options.near_duplicates < 1 and rows:
        texts, owners = list(first), [groups[row.group] for row in first.values()]
        joined = UnionFind(len(texts))
        first_text: dict[int, int] = {}
        for index, owner in enumerate(owners):
            joined.join(first_text.setdefault(together.find(owner), index), index)
        for one, other in near_pairs(texts, np.stack([keys[text] for text in texts]), options.near_duplicates, joined):
            joined.join(one, other)
            together.join(owners[one], owners[other])
            joins += 1
    members: defaultdict[int, list[StoredRow]] = defaultdict(list)
    for row in rows:
        members[together.find(groups[row.group])].append(row)
    numbers = {name: fraction_of(options.seed, name) for name in groups}
    clusters = [
        Cluster(cluster, min(numbers[row.group] for row in cluster), cluster[0].category)
        for cluster in members.values()
    ]
    return clusters, joins


def _stable(clusters: Iterable[Cluster], options: Split, splits: Splits) -> None:
    """Add each cluster to the split that its number says."""
    for cluster in clusters:
        if cluster.number < options.test:
            splits["test"] += cluster.rows
        else:
            splits["validation" if cluster.number < options.test + options.validation else "train"] += cluster.rows


def _exact(clusters: Sequence[Cluster], options: Split, splits: Splits) -> None:
    """Use the original's counts: int(n x 0.8) rows train, int(n x 0.95) train or validate, in every category.

    In the order of their numbers, clusters go to the test split, then to the validation split, as long as there is room
    for all of their rows; the others train. With larger clusters the counts come as near as their sizes allow.
    """
    sizes: Counter[str] = Counter()
    for cluster in clusters:
        sizes[cluster.category] += len(cluster.rows)
    total = sizes.total()
    before_validation = int(total * options.train + 1e-9)
    before_test = int(total * (options.train + options.validation) + 1e-9)
    test = apportioned(sizes, total - before_test, Counter())
    room = {"test": test, "validation": apportioned(sizes, before_test - before_validation, test)}
    for cluster in sorted(clusters, key=lambda cluster: (cluster.number, cluster.rows[0].digest)):
        size = len(cluster.rows)
        name = next((name for name in ("test", "validation") if room[name][cluster.category] >= size), "train")
        if name != "train":
            room[name][cluster.category] -= size
        splits[name] += cluster.rows


def apportioned(sizes: Counter[str], seats: int, taken: Counter[str]) -> Counter[str]:
    """Distribute ``seats`` over categories by size, by largest remainders; none gets more than it has left.

    Args:
        sizes: rows of each category.
        seats: rows to distribute.
        taken: rows of each category that are no longer available.
    """
    total = sizes.total()
    quotas = Counter({name: min(size * seats // total, size - taken[name]) for name, size in sizes.items()})
    by_remainder = sorted(sizes, key=lambda name: (-(sizes[name] * seats % total), name))
    while (missing := seats - quotas.total()) > 0:
        available = [name for name in by_remainder if quotas[name] < sizes[name] - taken[name]][:missing]
        if not available:
            break
        quotas.update(available)
    return quotas
