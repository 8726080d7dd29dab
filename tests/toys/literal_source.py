"""Toy source kind from outside the package: the record contains the text itself."""

import hashlib
from pathlib import Path

from pydantic import Field

from tapeout.config.sources import Record, RetryPolicy


class Source(Record):
    """Text in the record."""

    text: str = Field(description="Content of the one file, text.txt.")

    @property
    def origin(self) -> str:
        """Where the text comes from."""
        return "text of the record"

    def address(self, file: str) -> str:
        """Return a URN with the digest of the text."""
        return f"urn:sha256:{hashlib.sha256(self.text.encode()).hexdigest()}"

    def total_bytes(self) -> int:
        """Return the bytes of the text."""
        return len(self.text.encode())

    def fetch(self, output: Path, downloads: Path, retry: RetryPolicy | None = None) -> None:
        """Write the text."""
        (output / "text.txt").write_text(self.text)
