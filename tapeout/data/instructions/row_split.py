"""Training, validation and test rows of an imported source (faults F39, F40, F41).

What stays together is a cluster: rows of one group, and groups with near-duplicate questions. A cluster's side is that
of its smallest number, and a group's number depends on a seed and the group's name alone. So rows that are inserted,
removed or put in another order move no row that is not near to them. ``exact`` counts cannot have that property: they
are met by the rows at the border, category by category.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from tapeout.config.imported import SIDES, Shares
from tapeout.data.instructions.import_report import Account
from tapeout.data.instructions.question_clusters import Clusters, near_pairs
from tapeout.data.instructions.row import Splittable
from tapeout.data.instructions.text import share_of

R = TypeVar("R", bound=Splittable)


@dataclass(slots=True)
class Cluster(Generic[R]):
    """Rows that stay together.

    Attributes:
        rows: the rows, by digest.
        number: from 0 to 1; it decides.
        category: category of the first row.
    """

    rows: list[R]
    number: float
    category: str


def split_rows(rows: Iterable[R], shares: Shares, account: Account) -> tuple[dict[str, list[R]], dict[str, int]]:
    """Rows by side, in the order of their digests; and figures for the report."""
    if shares.equal_rows == "keep":
        kept = sorted(rows, key=whole)
    else:
        kept, equal = distinct(rows)
        if equal:
            account.drop("row equal to another", None, equal)
    clusters, near = clustered(kept, shares)
    sides = exact(clusters, shares) if shares.counts == "exact" else stable(clusters, shares)
    figures = {
        "clusters": len(clusters),
        "groups joined by near-duplicates": near,
        "rows in the largest cluster": max((len(cluster.rows) for cluster in clusters), default=0),
    }
    return {side: sorted(sides[side], key=lambda row: row.digest) for side in SIDES}, figures


def distinct(rows: Iterable[R]) -> tuple[list[R], int]:
    """The rows with different digests, in their order, and how many were left out."""
    found: dict[str, R] = {}
    count = 0
    for row in rows:
        count += 1
        # of equal rows the one in the group of the smaller name stays, whichever comes first; rows whose answer stands
        # twice in the context are equal, and differ in its place
        if row.digest not in found or whole(row) < whole(found[row.digest]):
            found[row.digest] = row
    return sorted(found.values(), key=lambda row: row.digest), count - len(found)


def whole(row: Splittable) -> tuple[str, str, int]:
    """An order of rows in which only those that are the same in everything are equal."""
    return row.digest, row.group, row.place


def clustered(rows: Sequence[R], shares: Shares) -> tuple[list[Cluster[R]], int]:
    """The clusters, and how many joins near-duplicates made among the groups."""
    groups: dict[str, int] = {}
    for row in rows:
        groups.setdefault(row.group, len(groups))
    together = Clusters(len(groups))
    asked: dict[str, R] = {}
    near = 0
    for row in rows:
        other = groups[asked.setdefault(row.question, row).group]
        if together.first(other) != together.first(groups[row.group]):
            together.join(other, groups[row.group])
            near += 1
    if shares.near_duplicates < 1 and rows:
        texts, owners = list(asked), [groups[row.group] for row in asked.values()]
        keys = np.stack([row.keys for row in asked.values()])
        of_texts = Clusters(len(texts))
        by_owner: dict[int, int] = {}
        for place, owner in enumerate(owners):
            of_texts.join(by_owner.setdefault(together.first(owner), place), place)
        for one, another in near_pairs(texts, keys, shares.near_duplicates, of_texts):
            of_texts.join(one, another)
            together.join(owners[one], owners[another])
            near += 1
    members: defaultdict[int, list[R]] = defaultdict(list)
    for row in rows:
        members[together.first(groups[row.group])].append(row)
    numbers = {name: share_of(shares.seed, name) for name in groups}
    return [Cluster(each, min(numbers[row.group] for row in each), each[0].category) for each in members.values()], near


def side_of(number: float, shares: Shares) -> str:
    """The side of a number from 0 to 1."""
    if number < shares.test:
        return "test"
    return "validation" if number < shares.test + shares.validation else "train"


def stable(clusters: Iterable[Cluster[R]], shares: Shares) -> dict[str, list[R]]:
    """Each cluster where its number says."""
    sides: dict[str, list[R]] = {side: [] for side in SIDES}
    for cluster in clusters:
        sides[side_of(cluster.number, shares)].extend(cluster.rows)
    return sides


def exact(clusters: Sequence[Cluster[R]], shares: Shares) -> dict[str, list[R]]:
    """The original's counts: int(n x 0.8) rows train, as many as int(n x 0.95) train or validate, in every category.

    In the order of their numbers clusters test, then validate, as long as there is room for all of their rows; the
    others train. Without single rows the counts come as near as the clusters' sizes let them.
    """
    sizes: Counter[str] = Counter()
    for cluster in clusters:
        sizes[cluster.category] += len(cluster.rows)
    total = sizes.total()
    trained, before_test = int(total * shares.train + 1e-9), int(total * (shares.train + shares.validation) + 1e-9)
    test = apportioned(sizes, total - before_test, Counter())
    room = {"test": test, "validation": apportioned(sizes, before_test - trained, test)}
    sides: dict[str, list[R]] = {side: [] for side in SIDES}
    for cluster in sorted(clusters, key=lambda each: (each.number, each.rows[0].digest)):
        size = len(cluster.rows)
        side = next((each for each in ("test", "validation") if room[each][cluster.category] >= size), "train")
        if side != "train":
            room[side][cluster.category] -= size
        sides[side].extend(cluster.rows)
    return sides


def apportioned(sizes: Counter[str], seats: int, taken: Counter[str]) -> Counter[str]:
    """``seats`` shared out over categories by their sizes, by largest remainders; none gets more than it has left."""
    total = sizes.total()
    quotas = Counter({name: min(size * seats // total, size - taken[name]) for name, size in sizes.items()})
    by_remainder = sorted(sizes, key=lambda name: (-(sizes[name] * seats % total), name))
    while (missing := seats - quotas.total()) > 0:
        open_ = [name for name in by_remainder if quotas[name] < sizes[name] - taken[name]][:missing]
        if not open_:
            break
        quotas.update(open_)
    return quotas
