"""Plot of numbers over steps in plain characters."""

from collections.abc import Mapping
from itertools import pairwise

MIN_COLUMNS = 10
"""Columns of the narrowest plot; in a narrower terminal its lines are wrapped."""


def plot(series: Mapping[str, Mapping[int, float]], last: int, width: int, height: int) -> list[str]:
    """Return the lines of a plot, of which each has at most ``width`` characters.

    Args:
        series: values by step (from 1), by the character that marks them; a later series covers an earlier one. A
            column shows the mean of the values of its steps.
        last: step at the right end.
        width: characters of a line.
        height: lines between the axes, at least 2.

    Returns:
        ``height`` lines, the horizontal axis and its labels; no line if there is no value.
    """
    values = [value for points in series.values() for value in points.values()]
    if not values:
        return []
    low, high = min(values), max(values)
    labels = {0: f"{high:.4g}", height - 1: f"{low:.4g}"} if high > low else {height - 1: f"{low:.4g}"}
    margin = max(map(len, labels.values()))
    columns = max(MIN_COLUMNS, width - margin - 2)
    edges = [1 + column * last / columns for column in range(columns + 1)]
    grid = [[" "] * columns for _ in range(height)]
    for mark, points in series.items():
        for column, value in _means(points, edges).items():
            line = round((high - value) / (high - low) * (height - 1)) if high > low else height - 1
            grid[line][column] = mark
    lines = [f"{labels.get(line, ''):>{margin}} |{''.join(row)}".rstrip() for line, row in enumerate(grid)]
    first, end = "1", f"{last:,}"
    return [
        *lines,
        f"{'':>{margin}} +{'-' * columns}",
        f"{'':>{margin}}  {first}{end:>{columns - len(first)}}",
    ]


def _means(points: Mapping[int, float], edges: list[float]) -> dict[int, float]:
    """Return the mean of the points in each column; a column contains its left edge and not its right one."""
    means: dict[int, float] = {}
    steps, index = sorted(points), 0
    for column, (_, right) in enumerate(pairwise(edges)):
        start = index
        while index < len(steps) and steps[index] < right:
            index += 1
        if index > start:
            means[column] = sum(points[step] for step in steps[start:index]) / (index - start)
    return means
