"""Everything that comes from outside: one typed record a source, pinned by content.

``config/sources.yaml`` maps a source's name to its record. A record's ``kind`` says how the source is fetched; the
SHA-256 (for files of a Hugging Face repository at least the commit) says what it is. The whole record is a parameter of
the rule ``fetch``: a source with another address or version is fetched again, and if the bytes are the same, what reads
them is left as it is. A licence also stands in the rows that are made from its source. Corpora without a manifest (F27)
and packages whose revision moves (D10) end here.
"""

from abc import ABC, abstractmethod
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from tapeout.config.section import Section

SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
"""Name of a source: a folder under ``results/sources/`` and the ``source`` field of corpus rows."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(gt=0)]


def relative_name(name: str) -> str:
    """Return ``name`` if it is a plain relative POSIX path that stays inside its folder.

    Raises:
        ValueError: for an absolute path, a path with ``..`` or a backslash, or an empty one.
    """
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
        raise ValueError(f"{name!r} is not a plain relative path")
    return name


class Record(Section, ABC):
    """What all records have in common."""

    licence: str = Field(min_length=1, description="Licence of the content, read in the archive, not in its metadata.")

    @property
    @abstractmethod
    def origin(self) -> str:
        """Where it comes from, in words."""

    @property
    def attribution(self) -> dict[str, str]:
        """Origin and licence, for whoever passes the content on."""
        return {"origin": self.origin, "licence": self.licence}


class PypiSource(Record):
    """One archive (wheel or source archive) of a Python package, taken as data: never installed, never built."""

    kind: Literal["pypi"]
    package: str = Field(min_length=1, description="Name of the package in the index.")
    version: str = Field(min_length=1, description="Version, for people; the file name decides.")
    file: str = Field(min_length=1, description="Exact file name in the index.")
    sha256: Sha256
    size: Size | None = Field(default=None, description="Bytes; told apart from a wrong hash.")

    _plain_name = field_validator("file")(relative_name)

    @property
    def origin(self) -> str:
        """Where it comes from, in words."""
        return f"package {self.package} {self.version}, file {self.file}"


class HubFile(Section):
    """One file of a Hugging Face repository."""

    path: str = Field(description="Path inside the repository.")
    sha256: Sha256 | None = Field(
        default=None,
        description="Without it the commit decides: the file must have the SHA-256 (large files) or the git blob id "
        "that the hub has for it at that commit.",
    )
    size: Size | None = None

    _plain_name = field_validator("path")(relative_name)


class HubSource(Record):
    """Files of a Hugging Face model or data set at one commit. A token comes from HF_TOKEN in the environment only."""

    kind: Literal["hf_model", "hf_dataset"]
    repository: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)?$", description="owner/name.")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="Full commit; branches and tags move.")
    files: tuple[HubFile, ...] = Field(min_length=1)

    @property
    def origin(self) -> str:
        """Where it comes from, in words."""
        kind = "model" if self.kind == "hf_model" else "data set"
        return f"Hugging Face {kind} {self.repository} at commit {self.revision}"

    @field_validator("files")
    @classmethod
    def _distinct(cls, files: tuple[HubFile, ...]) -> tuple[HubFile, ...]:
        if len({file.path for file in files}) < len(files):
            raise ValueError("a file is named twice")
        return files


class UrlSource(Record):
    """One file behind an http(s) or file URL."""

    kind: Literal["url"]
    url: str = Field(pattern=r"^(https?|file)://")
    file: str = Field(min_length=1, description="Name that the file gets here.")
    sha256: Sha256
    size: Size | None = None

    _plain_name = field_validator("file")(relative_name)

    @property
    def origin(self) -> str:
        """Where it comes from, in words."""
        return self.url if self.url.startswith("http") else f"file {self.file}"


class FileSource(Record):
    """One local file. Without ``sha256`` it is digested when the workflow starts: an edit rebuilds what follows."""

    kind: Literal["file"]
    path: str = Field(min_length=1, description="Path, relative to the repository's root or absolute.")
    sha256: Sha256 | None = None

    @property
    def origin(self) -> str:
        """Where it comes from, in words; folders of this machine are nobody's business."""
        return f"file {PurePosixPath(self.path).name}"


class FolderSource(Record):
    """The files of a local folder, with their paths inside it. Links and special files in it are refused.

    Without ``sha256`` it is digested when the workflow starts: one file that is edited, added, removed or renamed
    rebuilds what follows; times and modes of files count for nothing.
    """

    kind: Literal["folder"]
    path: str = Field(min_length=1, description="Path, relative to the repository's root or absolute.")
    include: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="Patterns over the paths inside the folder, which begin with /."
    )
    exclude: tuple[str, ...] = Field(default=(), description="Patterns of what is left out, e.g. '*/.git/*'.")
    sha256: Sha256 | None = Field(default=None, description="Digest of all paths and contents, as WrongHash tells it.")

    @property
    def origin(self) -> str:
        """Where it comes from, in words, as for a file."""
        return f"folder {PurePosixPath(self.path).name}"


Source = Annotated[PypiSource | HubSource | UrlSource | FileSource | FolderSource, Field(discriminator="kind")]
Sources = dict[SourceName, Source]


class Fetch(Section):
    """Parameters of the rule ``fetch``: the one record that it fetches."""

    record: Source
