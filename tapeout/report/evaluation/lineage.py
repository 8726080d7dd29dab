"""Drawing of the provenance graph: which artifacts the report is computed from, and what each was built from.

Artifacts flow from top to bottom. Siblings that nothing distinguishes, such as all results of one model, share a box.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from posixpath import commonpath

REPORT = "eval_report"
PER_LINE = 6
"""Boxes side by side; a rank with more of them has several lines."""
WIDTH, HEIGHT, GAP, BETWEEN = 164, 44, 14, 34
"""Size of a box, and the distance of boxes and of lines, in units of the drawing."""
LETTERS = 22
"""Characters that fit into a box."""
Lineage = Mapping[str, Sequence[str]]
Members = tuple[str, ...]
"""Artifacts of a box."""
Edges = Mapping[Members, set[Members]]
"""Boxes that each box is built from."""


@dataclass(frozen=True)
class Box:
    """One or more artifacts of the drawing.

    Attributes:
        members: labels of the artifacts.
        x, y: left upper corner.
    """

    members: Members
    x: int
    y: int

    @property
    def name(self) -> str:
        """Name that fits into the box."""
        first = self.members[0]
        if len(self.members) == 1:
            return shortened(first)
        return shortened(f"{commonpath(self.members)} ({len(self.members)})")

    @property
    def anchor(self) -> str:
        """Anchor of the first artifact in the table."""
        return anchor(self.members[0])


@dataclass(frozen=True)
class Drawing:
    """Boxes, and lines between them as SVG paths; sizes are in units of the drawing."""

    boxes: tuple[Box, ...]
    paths: tuple[str, ...]
    width: int
    height: int


def anchor(label: str) -> str:
    """Return the anchor of an artifact on the page."""
    return "artifact-" + re.sub(r"[^A-Za-z0-9]+", "-", label)


def shortened(text: str, letters: int = LETTERS) -> str:
    """Return a text of at most so many characters, without its middle if it is longer."""
    return text if len(text) <= letters else f"{text[: (letters - 1) // 2]}…{text[-(letters // 2) :]}"


def draw(lineage: Lineage, models: Iterable[str]) -> Drawing | None:
    """Return the drawing of the report's inputs and of the report; None without a lineage.

    Args:
        lineage: artifacts that each input of the report is built from.
        models: artifacts of the evaluated models; results of different models have different boxes.
    """
    if not lineage:
        return None
    built = {**lineage, REPORT: tuple(lineage)}
    groups = _groups(built, set(models))
    box_of = {member: members for members in groups for member in members}
    edges = {members: {box_of[one] for member in members for one in built[member]} for members in groups}
    order = list(TopologicalSorter(edges).static_order())
    edges = _reduced(edges, order)
    ranks: dict[Members, int] = {}
    for members in order:
        ranks[members] = max((ranks[one] + 1 for one in edges[members]), default=0)
    boxes = _placed(edges, ranks)
    places = {box.members: box for box in boxes}
    paths = [_path(places[one], places[members]) for members in sorted(edges) for one in sorted(edges[members])]
    width = PER_LINE * (WIDTH + GAP) - GAP
    return Drawing(tuple(boxes), tuple(paths), width, max(box.y for box in boxes) + HEIGHT)


def _groups(lineage: Lineage, models: set[str]) -> list[Members]:
    """Return the artifacts of each box: those of one kind with the same descendants and models; roots are alone."""
    children: dict[str, set[str]] = defaultdict(set)
    for name, origins in lineage.items():
        for one in origins:
            children[one].add(name)
    groups: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for name in sorted(lineage):
        own = tuple(sorted(models & set(lineage[name])))
        alone = not lineage[name] or name in models
        key = (name,) if alone else (name.split("/")[0], own, tuple(sorted(children[name])))
        groups[key].append(name)
    return sorted(tuple(members) for members in groups.values())


def _reduced(edges: Edges, order: Sequence[Members]) -> dict[Members, set[Members]]:
    """Return the edges without those that a longer path implies."""
    above: dict[Members, set[Members]] = {}
    reduced = {}
    for members in order:
        implied = set().union(*(above[one] for one in edges[members]))
        reduced[members] = edges[members] - implied
        above[members] = implied | edges[members]
    return reduced


def _placed(edges: Edges, ranks: Mapping[Members, int]) -> list[Box]:
    """Return the boxes by rank; in a rank each is near the middle of what it is built from."""
    boxes: dict[Members, Box] = {}
    total, y = PER_LINE * (WIDTH + GAP) - GAP, 0
    for rank in range(max(ranks.values()) + 1):

        def wanted(members: Members) -> tuple[float, Members]:
            origins = [boxes[one].x for one in edges[members]]
            return (sum(origins) / len(origins) if origins else 0.0, members)

        row = sorted((members for members, found in ranks.items() if found == rank), key=wanted)
        lines = -(-len(row) // PER_LINE)
        size = -(-len(row) // lines)
        for start in range(0, len(row), size):
            line = row[start : start + size]
            left = (total - len(line) * (WIDTH + GAP) + GAP) // 2
            for number, members in enumerate(line):
                boxes[members] = Box(members, left + number * (WIDTH + GAP), y)
            y += HEIGHT + (BETWEEN if start + size >= len(row) else GAP)
    return list(boxes.values())


def _path(origin: Box, target: Box) -> str:
    """Return the line from the bottom of a box to the top of another one."""
    x1, y1, x2, y2 = origin.x + WIDTH // 2, origin.y + HEIGHT, target.x + WIDTH // 2, target.y
    bend = min(BETWEEN, (y2 - y1) // 2)
    return f"M{x1} {y1}C{x1} {y1 + bend} {x2} {y2 - bend} {x2} {y2}"
