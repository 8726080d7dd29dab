"""One file at an http(s) or file URL."""

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pydantic import Field, field_validator

from tapeout.config.sources import Record, RemoteFile, RetryPolicy, Sha256, Size, relative_name


class Source(Record):
    """File at a URL."""

    kind: Literal["url"]
    url: str = Field(pattern=r"^(https?|file)://", description="Address of the file.")
    file: str = Field(min_length=1, description="Name of the file in the source's folder.")
    sha256: Sha256 = Field(description="SHA-256 of the file.")
    size: Size | None = Field(default=None, description="Bytes; detects a wrong file before it is hashed.")

    _plain_name = field_validator("file")(relative_name)

    @property
    def origin(self) -> str:
        """The URL, or the name of a local file."""
        return f"file {self.file}" if self.local_path else self.url

    def address(self, file: str) -> str:
        """Return the URL."""
        return self.url

    @property
    def local_path(self) -> str | None:
        """Path of a file URL."""
        return url2pathname(urlsplit(self.url).path) if self.url.startswith("file:") else None

    @property
    def remote_files(self) -> tuple[RemoteFile, ...]:
        """The file."""
        return (RemoteFile(path=self.file, sha256=self.sha256, size=self.size),)

    def missing_bytes(self, downloads: Path) -> int | None:
        """Return the bytes to download: none for a file URL."""
        return 0 if self.local_path else super().missing_bytes(downloads)

    def fetch(self, output: Path, downloads: Path, retry: RetryPolicy | None = None) -> None:
        """Write the file.

        Raises:
            WrongContent: the file is not the pinned one.
            SourceMissing, AccessDenied, SourceUnreachable: see their docstrings.
        """
        from tapeout.sources import download, verified_copy

        if self.local_path:
            verified_copy.copy_verified(Path(self.local_path), output / self.file, self.sha256)
        else:
            remote = download.Remote(self.url, self.file, self.sha256, self.size)
            download.fetch(remote, output / self.file, downloads, retry)
