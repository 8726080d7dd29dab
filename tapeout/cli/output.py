"""How commands speak: tables for people, JSON for programs, one sentence of cause and one of cure for errors."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from rich import box
from rich.console import Console
from rich.table import Table

console, errors = Console(highlight=False), Console(highlight=False, stderr=True)


def show(value: Any, as_json: bool, *tables: Table) -> None:
    """Print ``value`` as JSON with sorted keys, or the tables that say the same."""
    if as_json:
        print(orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2).decode())
    else:
        for table in tables:
            console.print(table)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str = "") -> Table:
    """A plain table; columns whose name begins with ``>`` are aligned to the right."""
    made = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for column in columns:
        right = column.startswith(">")
        made.add_column(column.removeprefix(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def size(count: float) -> str:
    """A number of bytes as a person says it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
