"""Text of a training batch for the terminal: what the model reads, and which of it has a loss."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from tapeout.cli import output
from tapeout.cli.plot import plot

MARK = "^"
"""Stands below each character whose token has a loss."""
LINE_END = "↵"
"""Shown for a line end that has a loss."""
PLOT_LINES = 6
"""Lines of the plot of learning rates."""
MAX_WIDTH = 120
"""Columns of the text in a wide terminal."""
MAX_LINES = 12
"""Lines of the example that are shown at its beginning, and at its end."""


def marked(pieces: Sequence[tuple[str, bool]], width: int) -> list[str]:
    """Return a text in lines of at most ``width`` characters, each followed by a line of marks if it has any.

    A line end with a loss is shown as a character of its own, so that its mark has a place.

    Args:
        pieces: parts of the text, each with whether its tokens have a loss.
        width: columns of the terminal.
    """
    lines: list[list[tuple[str, bool]]] = [[]]
    for char, flag in ((char, flag) for text, flag in pieces for char in text):
        if char != "\n" or flag:
            if len(lines[-1]) == width:
                lines.append([])
            shown = char if char.isprintable() else LINE_END if char == "\n" else "\N{REPLACEMENT CHARACTER}"
            lines[-1].append((shown, flag))
        if char == "\n":
            lines.append([])
    found = []
    for line in lines:
        found.append("".join(char for char, _ in line))
        marks = "".join(MARK if flag else " " for _, flag in line).rstrip()
        found += [marks] if marks else []
    return found


def example(found: Mapping[str, Any]) -> list[str]:
    """Return the first row or document of a batch with its loss mask, as far as it fits ``MAX_LINES``."""
    pieces = found["example"]
    if not pieces:
        return []
    name = found["sequences"][0]["sources"][0]["name"]
    everything = all(all(sequence["mask"]) for sequence in found["sequences"])
    text = [(piece, trained and not everything) for piece, trained in pieces]
    lines = marked(text, min(output.console.width, MAX_WIDTH))
    kept = lines if len(lines) <= 2 * MAX_LINES else [*lines[:MAX_LINES], "...", *lines[-MAX_LINES:]]
    legend = "all tokens have a loss" if everything else f"{MARK} marks what has a loss"
    return ["", f"{name}; {legend}:", "", *kept]


def figures(found: Mapping[str, Any]) -> list[Table | str]:
    """Return how full the sequences are, the data sets of the training, what their encoding left out, and the rates."""
    sets, encoded = found["sets"], found["encoded"]
    columns = ["set", ">tokens", ">with loss", ">passes", *([">rows dropped", ">shortened"] if encoded else [])]
    rows = []
    for use in sets:
        counts: Mapping[str, Any] = next(
            (counts for folder, counts in encoded.items() if f"/{folder}/" in f"/{use['name']}/"), {}
        )
        dropped = sum(reason["count"] for reason in counts.get("dropped", {}).values())
        cells = [use["tokens"], use["trained"], use["passes"], dropped, counts.get("shortened", 0)]
        rows.append(
            [
                use["name"].removesuffix("/train.jsonl"),
                *(f"{cell:,.2f}" if isinstance(cell, float) else f"{cell:,}" for cell in cells),
            ]
        )
    reasons = [
        f"{name}: {output.count(kept['count'], 'row')} dropped, {reason}"
        for name, counts in sorted(encoded.items())
        for reason, kept in sorted(counts["dropped"].items())
    ]
    share = f"{100 * found['filled']:.1f} % of the positions of this batch have a token."
    rates = dict(found["learning_rates"])
    lines = plot({"*": rates}, max(rates), min(output.console.width, MAX_WIDTH), PLOT_LINES)
    table: list[Table | str] = ["", output.table(columns, [row[: len(columns)] for row in rows])] if rows else []
    return ["", share, *table, *reasons, "", "Learning rate by step:", "", *lines]
