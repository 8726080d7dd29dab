"""User-facing errors about texts, rows and templates."""

from pathlib import Path
from typing import Self

from tapeout.errors import TapeoutError


class UnreadableFile(TapeoutError):
    """A file is damaged or incomplete, or its content does not match its suffix."""

    def __init__(
        self, path: Path | str, reason: str, fix: str = "Correct the file in the source; nothing was skipped."
    ) -> None:
        """Describe the file by its path or name, and what is wrong with it."""
        super().__init__(f"{path} cannot be read: {reason}.", fix)


class BadRow(TapeoutError):
    """A row that cannot be used.

    Attributes:
        location: file and line, record or item.
        reason: the problem, under which rows are counted.
    """

    def __init__(self, location: str, reason: str, detail: str = "", fix: str = "") -> None:
        """Describe the row; ``detail`` is only for the message, and ``fix`` replaces the one for instruction sets."""
        super().__init__(
            f"{location}: {reason}{f' ({detail})' if detail else ''}.",
            fix
            or "Correct the row, or the format and fields of this set under instructions.sets (ignored_fields names "
            "fields to ignore); or set bad_rows: drop for it, which drops and counts such rows.",
        )
        self.location = location
        self.reason = reason

    @classmethod
    def of_line(cls, path: Path, line: int, reason: str) -> Self:
        """Return the error for a line, counted from 1, that is not an object with the required fields."""
        return cls(f"{path}, line {line}", reason, fix="Correct the line or remove it; nothing was skipped.")


class NotEnoughData(TapeoutError):
    """A corpus or set has no rows left, or does not fill a single sequence or batch."""


class InvalidTemplate(TapeoutError):
    """A template that cannot be read, lacks a field, or does not render turn after turn."""
