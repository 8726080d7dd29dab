"""Rows with ``messages``: role (system, user, assistant) and content, as in Hugging Face chat data sets."""

from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field

from tapeout.data.instructions.conversation import TurnListOptions, conversation_rows
from tapeout.data.instructions.record import Record
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import Row


class Options(TurnListOptions):
    """Rows with ``messages``: role (system, user, assistant) and content, as in Hugging Face chat data sets."""

    format: Literal["messages"] = Field(description="Name of this format.")
    field: str = Field("messages", description="Name of the list of messages.")


def rows(records: Iterable[Record], options: Options, report: ImportReport) -> Iterator[Row]:
    """Yield a row for each conversation."""
    return conversation_rows(records, options, report, options.field, "role", "content")
