"""One local file."""

from pathlib import Path, PurePosixPath
from typing import Literal, Self

from pydantic import Field

from tapeout.config.sources import Digests, Record, RetryPolicy, Sha256
from tapeout.sources.errors import SourceMissing, WrongContent


class Source(Record):
    """Local file. Without ``sha256`` it is hashed when the workflow starts: an edit rebuilds what is downstream."""

    kind: Literal["file"]
    path: str = Field(min_length=1, description="Path, relative to the project's folder or absolute.")
    sha256: Sha256 | None = Field(default=None, description="SHA-256 of the file.")

    @property
    def origin(self) -> str:
        """The name of the file."""
        return f"file {PurePosixPath(self.path).name}"

    def address(self, file: str) -> str:
        """Return a URN with the path in the project."""
        return f"urn:tapeout:code:{self.path}"

    @property
    def local_path(self) -> str | None:
        """The path."""
        return self.path

    def local_files(self) -> dict[str, Path]:
        """Return the file by its name."""
        return {Path(self.path).name: Path(self.path)}

    def pinned(self, digests: Digests) -> Self:
        """Return the record with the SHA-256 that the file has now.

        Raises:
            SourceMissing: there is no such file.
            WrongContent: its name has a character that cannot be printed.
        """
        if not Path(self.path).name.isprintable():
            raise WrongContent.of_name(self.path)
        if self.sha256 is not None:
            return self
        if not Path(self.path).is_file():
            raise SourceMissing.of(f"The file {self.path}")
        return self.model_copy(update={"sha256": digests([Path(self.path)])[0]})

    def total_bytes(self) -> int | None:
        """Return the size of the file; None if it is missing."""
        return Path(self.path).stat().st_size if Path(self.path).is_file() else None

    def fetch(self, output: Path, downloads: Path, retry: RetryPolicy | None = None) -> None:
        """Copy the file.

        Raises:
            SourceMissing: there is no such file.
            WrongContent: it is not the pinned one.
        """
        from tapeout.sources.verified_copy import copy_verified

        path = Path(self.path)
        copy_verified(path, output / path.name, self.sha256)
