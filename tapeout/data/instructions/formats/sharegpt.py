"""Rows with ``conversations``: from (system, human, gpt) and value, as in exports of ShareGPT."""

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field

from tapeout.data.instructions.conversation import TurnListOptions, conversation_rows
from tapeout.data.instructions.record import Record
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import Row


class Options(TurnListOptions):
    """Rows with ``conversations``: from (system, human, gpt) and value."""

    format: Literal["sharegpt"] = Field(description="Name of this format.")
    field: str = Field("conversations", description="Name of the list of turns.")


def rows(records: Iterable[Record], options: Options, report: ImportReport) -> Iterator[Row]:
    """Yield a row for each conversation."""
    return conversation_rows(records, options, report, options.field, "from", "value")
