"""How commands speak: tables for people, JSON for programs, one sentence of cause and one of fix for errors."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tapeout.graph.console import format_size

size = format_size
console, errors = Console(highlight=False), Console(highlight=False, stderr=True)


def show(value: Any, as_json: bool, *parts: Table | Text | str) -> None:
    """Print ``value`` as JSON with sorted keys, or the tables and sentences that say the same."""
    if as_json:
        print(orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2).decode())
    else:
        for part in parts:
            console.print(part)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> Table:
    """A plain table; columns whose name begins with ``>`` are aligned to the right."""
    made = Table(
        box=box.SIMPLE_HEAD,
        title=title or None,
        title_justify="left",
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        right = column.startswith(">")
        first = not made.columns
        made.add_column(
            column.removeprefix(">"), justify="right" if right else "left", overflow="fold", no_wrap=first or right
        )
    for row in rows:
        made.add_row(*row)
    return made


def count(number: int, noun: str) -> str:
    """A number of things as a person says it."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
