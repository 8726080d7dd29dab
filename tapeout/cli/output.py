"""Console output of the commands: tables and JSON."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tapeout.cli.start import NAMED_ERROR as NAMED_ERROR
from tapeout.graph.console import format_size as format_size

console, errors = Console(highlight=False), Console(highlight=False, stderr=True)


def show(value: Any, as_json: bool, *parts: Table | Text | str) -> None:
    """Print ``value`` as JSON with sorted keys, or the same as tables and sentences."""
    if as_json:
        print(orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2).decode())
    else:
        for part in parts:
            console.print(part)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """Return a table without borders; a column whose name begins with ``>`` is aligned to the right."""
    new = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        right = column.startswith(">")
        first = not new.columns
        new.add_column(
            column.removeprefix(">"), justify="right" if right else "left", overflow="fold", no_wrap=first or right
        )
    for row in rows:
        new.add_row(*row)
    return new


def count(number: int, noun: str) -> str:
    """Return a number with a noun, in the plural unless the number is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
