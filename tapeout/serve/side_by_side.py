"""Answers of several models in columns of a terminal, which grow while the answers are generated."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

MIN_WIDTH = 38
"""Minimum width of a column; in a narrower terminal, answers come one after the other."""
MARGIN = 3


def fits(count: int, width: int) -> bool:
    """Return whether a terminal has room for that many columns, of which there are at least two."""
    return count > 1 and width >= count * (MIN_WIDTH + MARGIN)


class Columns:
    """Texts side by side, while the context is active; then they stay on the terminal in full length."""

    def __init__(self, names: Sequence[str], width: int) -> None:
        self.names, self.texts = names, ["" for _ in names]
        self.width = width // len(names) - MARGIN
        console = Console(width=width, highlight=False)
        self.live = Live(console=console, get_renderable=self._table, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()
        self.live.console.print(self._table())

    def add(self, column: int, piece: str) -> None:
        """Add a piece to a text."""
        self.texts[column] += piece

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, MARGIN, 0, 0), pad_edge=False)
        for name in self.names:
            table.add_column(Text(name, style="bold"), width=self.width, overflow="fold")
        table.add_row(*(Text(text) for text in self.texts))
        return table
