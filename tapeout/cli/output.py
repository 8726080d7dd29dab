"""Console output of the commands: tables and JSON."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from tapeout.cli.start import NAMED_ERROR as NAMED_ERROR
from tapeout.graph.console import format_size as format_size
from tapeout.streams import Output
from tapeout.visible import visible

if TYPE_CHECKING:
    from tapeout.cli.project import ChosenConfiguration

WIDE = 100
"""Minimum width of a terminal for less important columns."""
LONG = 20
"""Characters of a cell beyond which its column is folded in a narrow terminal."""


class SafeConsole(Console):
    """Console that shows texts as they are, but with hidden characters escaped: a terminal would obey them.

    Rich would read ``q[i]`` and ``[/INST]`` as markup, and ``:key:`` as an emoji.
    """

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, stderr=stderr)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of a text, a table or a live view; only Rich's own controls are left as they are."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


console = SafeConsole()
errors = SafeConsole(stderr=True)


def show(
    value: Any, as_json: bool, *parts: Table | Text | str, configuration: "ChosenConfiguration | None" = None
) -> None:
    """Print ``value`` as JSON with sorted keys, or the same as tables and sentences.

    Args:
        value: JSON values; a mapping if there is a configuration.
        as_json: whether to print JSON, always as UTF-8.
        parts: tables and sentences.
        configuration: the configuration that the command used, which is named in the output.
    """
    if configuration is not None:
        value = {**value, "configuration": configuration.as_json()}
        parts = (configuration.line, *parts)
    if as_json:
        data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"
        if isinstance(sys.stdout, Output):
            sys.stdout.write_utf8(data)
        else:  # replaced by a caller in the same process
            sys.stdout.write(data.decode())
    else:
        for part in parts:
            console.print(part)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """Return a table without borders; a column whose name begins with ``>`` is aligned to the right.

    In a narrow terminal only columns with long cells are folded, so that no short word is split.
    """
    rows = list(rows)
    new = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        new.add_column(
            column.removeprefix(">"),
            justify="right" if column.startswith(">") else "left",
            overflow="fold",
            no_wrap=max((len(row[number]) for row in rows), default=0) <= LONG,
        )
    for row in rows:
        new.add_row(*(visible(cell) if isinstance(cell, str) else cell for cell in row))
    return new


def is_wide() -> bool:
    """Return whether the terminal has room for less important columns."""
    return console.width >= WIDE


def count(number: int, noun: str) -> str:
    """Return a number with a noun, in the plural unless the number is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
