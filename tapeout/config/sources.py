"""Sources: content from outside, one typed record each, pinned by its digest.

``config/sources.yaml`` maps names to records. A record's ``kind`` names a module of ``tapeout.sources.kinds``, which
brings the model of the record and knows how to fetch it (see ``tapeout.plugins``). The whole record is a parameter of
the rule ``fetch``: a changed address or version is fetched again, and if the bytes are the same, nothing downstream
reruns.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

from pydantic import Field, SerializeAsAny, StringConstraints, ValidationInfo, field_validator

from tapeout.config.plugin_options import PluginOptions
from tapeout.config.secrets import contains_secret
from tapeout.config.section import Section, conflict

KINDS = "tapeout.sources.kinds"
"""The seam of source kinds."""

SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
"""Name of a source: a folder under ``results/sources/`` and the ``source`` field of corpus rows."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(gt=0)]

Digests = Callable[[Sequence[Path]], list[str]]
"""Function that returns the SHA-256 of files, in their order."""


@dataclass(frozen=True)
class RetryPolicy:
    """Limits on retrying a request that may succeed later.

    Attributes:
        attempts: attempts in total.
        first_wait: seconds before the second attempt; the wait doubles from one attempt to the next.
        max_wait: maximum seconds between two attempts if the server does not name a time.
        max_server_wait: maximum seconds that a server may ask to wait (the Hugging Face hub counts requests in windows
            of five minutes).
    """

    attempts: int = 6
    first_wait: float = 1.0
    max_wait: float = 60.0
    max_server_wait: float = 330.0


def downloads_folder() -> Path:
    """Return the folder of downloads: TAPEOUT_DOWNLOADS, or a folder in the user's cache.

    A step has another home; the runner passes the user's on as TAPEOUT_USER_HOME.
    """
    variable = os.environ.get("TAPEOUT_DOWNLOADS")
    home = Path(os.environ.get("TAPEOUT_USER_HOME") or Path.home())
    return Path(variable) if variable else home / ".cache" / "tapeout" / "downloads"


def relative_name(name: str) -> str:
    """Return ``name`` if it is a plain relative POSIX path that stays inside its folder.

    Raises:
        ValueError: for an absolute path, a path with ``..`` or a backslash, or an empty one.
    """
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
        raise ValueError(f"{name!r} is not a plain relative path")
    return name


class RemoteFile(Section):
    """One file of a source that is downloaded."""

    path: str = Field(description="Path inside the source.")
    sha256: Sha256 | None = Field(
        default=None, description="SHA-256; without it the commit must pin the content (Hugging Face repositories)."
    )
    size: Size | None = Field(default=None, description="Bytes; detects a wrong file before it is hashed.")

    _plain_name = field_validator("path")(relative_name)


class Record(Section, ABC):
    """Interface of a source kind: everything that the rest of the project needs to know about a source.

    A kind is a module of ``tapeout.sources.kinds``, or of another package by its dotted name, with a subclass named
    ``Source``. A kind whose content is downloaded implements ``remote_files``, a kind that reads local files
    ``local_path``, ``local_files`` and ``pinned``.
    """

    kind: str = Field(description="Source kind: a module of tapeout.sources.kinds, or a dotted module name.")
    licence: str = Field(min_length=1, description="Licence of the content, read in the archive, not in its metadata.")

    @field_validator("*", mode="before")
    @classmethod
    def _no_secret(cls, value: Any, field: ValidationInfo) -> Any:
        """Refuse secrets in addresses: a record is printed, exported and part of the action."""
        if contains_secret(value):
            raise conflict(
                f"the {field.field_name} of a source has a user, a password, a token or a signature in its address",
                "Remove it, and name a netrc file with the login in the environment variable NETRC (for Hugging Face, "
                "set HF_TOKEN), or download the file and use it with kind: file.",
                str(field.field_name),
            )
        return value

    @property
    @abstractmethod
    def origin(self) -> str:
        """Human-readable origin of the content, without a folder of this machine."""

    @abstractmethod
    def address(self, file: str) -> str:
        """Return the URI of a file of the source for provenance: a package URL, an http address or a URN."""

    @abstractmethod
    def fetch(self, output: Path, downloads: Path, retry: RetryPolicy | None = None) -> None:
        """Write the verified files into ``output``. Runs in the environment ``data``.

        Args:
            output: existing empty folder.
            downloads: folder of finished and partial downloads, by content.
            retry: how often to retry; None for the default.

        Raises:
            TapeoutError: the content is missing, not accessible or not the pinned one.
        """

    @property
    def attribution(self) -> dict[str, str]:
        """Origin and licence, for everyone who redistributes the content."""
        return {"origin": self.origin, "licence": self.licence}

    @property
    def remote_files(self) -> tuple[RemoteFile, ...]:
        """Downloaded files that the record describes."""
        return ()

    @property
    def local_path(self) -> str | None:
        """Path of the local file or folder that the record names, as written; None if nothing local is read."""
        return None

    def local_files(self) -> dict[str, Path]:
        """Return the local files that are read, by their paths in the source, sorted."""
        return {}

    def pinned(self, digests: Digests) -> Self:
        """Return the record with the digest of its current local content, unless it is pinned already."""
        return self

    @property
    def content(self) -> str | None:
        """SHA-256 of a source that is one file, if it is pinned: equal values mean the same content."""
        return getattr(self, "sha256", None)

    def total_bytes(self) -> int | None:
        """Return the bytes of the source; None if the record does not state them or local files are missing."""
        return total(file.size for file in self.remote_files)

    def missing_bytes(self, downloads: Path) -> int | None:
        """Return the bytes that are not in the folder of downloads yet; None if the record does not state them."""
        missing = [f for f in self.remote_files if f.sha256 is None or not (downloads / f.sha256).exists()]
        return total(_rest(downloads / f"{file.sha256}.part", file.size) for file in missing)


def _rest(part: Path, size: int | None) -> int | None:
    return None if size is None else max(0, size - (part.stat().st_size if part.exists() else 0))


def total(sizes: Iterable[int | None]) -> int | None:
    """Return the sum; None if one size is unknown."""
    known = list(sizes)
    return None if None in known else sum(size for size in known if size is not None)


Source = Annotated[SerializeAsAny[Record], PluginOptions(KINDS, "kind", Record, model="Source")]
Sources = dict[SourceName, Source]


class Fetch(Section):
    """Parameters of the rule ``fetch``."""

    record: Source = Field(description="Record of the source.")
