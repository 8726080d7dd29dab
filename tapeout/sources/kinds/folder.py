"""The files of a local folder, with their paths inside it. Links and special files are refused."""

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Literal, Self

from pydantic import Field

from tapeout.config.sources import Digests, Record, RetryPolicy, Sha256
from tapeout.progress import report
from tapeout.sources.errors import AccessDenied, SourceMissing, WrongContent

MAX_DEPTH = 200


class Source(Record):
    """Local folder.

    Without ``sha256`` it is hashed when the workflow starts, and again while it is copied, so that an edit in between
    is detected. A file that is edited, added, removed or renamed rebuilds what is downstream; times and modes do not.
    """

    kind: Literal["folder"]
    path: str = Field(min_length=1, description="Path, relative to the project's folder or absolute.")
    include: tuple[str, ...] = Field(
        default=("*",), min_length=1, description="Patterns over the paths inside the folder, which begin with /."
    )
    exclude: tuple[str, ...] = Field(default=(), description="Patterns that override include, e.g. '*/.git/*'.")
    sha256: Sha256 | None = Field(
        default=None, description="Digest of all paths and contents, as the error WrongContent prints it."
    )

    @property
    def origin(self) -> str:
        """The name of the folder."""
        return f"folder {PurePosixPath(self.path).name}"

    def address(self, file: str) -> str:
        """Return a URN with the path in the project."""
        return f"urn:tapeout:code:{self.path}/{file}"

    @property
    def local_path(self) -> str | None:
        """The path."""
        return self.path

    def local_files(self) -> dict[str, Path]:
        """Return the selected files by their paths inside the folder, sorted.

        Raises:
            SourceMissing: there is no such folder, or the patterns select no file.
            AccessDenied: a part of the folder cannot be read.
            WrongContent: the patterns select something other than a regular file with a printable name in UTF-8.
        """
        root = Path(self.path)
        if not root.is_dir():
            raise SourceMissing(f"There is no folder {self.path}.", "Correct the sources file.")
        try:
            files = {name: path for name, path in _entries(root, "") if self._selects(name, path)}
        except OSError as error:
            raise AccessDenied(
                f"Cannot read {error.filename}: {error.strerror}.", "Give yourself permission to read it."
            ) from error
        if not files:
            raise SourceMissing(f"No file of the folder {self.path} matches include.", "Correct the sources file.")
        return dict(sorted(files.items()))

    def _selects(self, name: str, path: Path) -> bool:
        """Return whether the patterns select a file.

        A link to a folder counts as selected unless it is excluded, because files in it might be selected.
        """
        if any(fnmatchcase(f"/{name}", pattern) for pattern in self.exclude):
            return False
        included = any(fnmatchcase(f"/{name}", pattern) for pattern in self.include)
        if path.is_symlink() and (included or path.is_dir()):
            raise WrongContent(
                f"{name!r} in the folder {self.path} is a link.", "Replace it with its target, or exclude it."
            )
        if not included:
            return False
        if not path.is_file():
            raise WrongContent(f"{name!r} in the folder {self.path} is not a regular file.", "Exclude it.")
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise WrongContent(
                f"The name {name!r} in the folder {self.path} is not UTF-8.", "Rename or exclude it."
            ) from error
        if not path.name.isprintable():
            raise WrongContent.of_name(name)
        return True

    @property
    def content(self) -> str | None:
        """None: a folder is not one file."""
        return None

    def pinned(self, digests: Digests) -> Self:
        """Return the record with the digest that the folder has now."""
        if self.sha256 is not None:
            return self
        files = self.local_files()
        current = dict(zip(files, digests(list(files.values())), strict=True))
        return self.model_copy(update={"sha256": tree_digest(current)})

    def total_bytes(self) -> int | None:
        """Return the bytes of the selected files; None if the folder cannot be used."""
        with contextlib.suppress(SourceMissing, AccessDenied, WrongContent):  # the step reports it
            return sum(path.stat().st_size for path in self.local_files().values())
        return None

    def fetch(self, output: Path, downloads: Path, retry: RetryPolicy | None = None) -> None:
        """Copy the files and verify the copies.

        Raises:
            SourceMissing, AccessDenied: see ``local_files``.
            WrongContent: see ``local_files``, or the copies are not what is pinned.
        """
        from tapeout.sources.verified_copy import copy_verified

        digests, files = {}, self.local_files()
        for done, (name, path) in enumerate(files.items(), start=1):
            digests[name] = copy_verified(path, output / name, None)
            if done % 1000 == 0 or done == len(files):
                report(done, len(files))
        actual = tree_digest(digests)
        if self.sha256 is not None and actual != self.sha256:
            raise WrongContent.of_hash(f"The folder {self.path}", self.sha256, actual)


def tree_digest(digests: Mapping[str, str]) -> str:
    """Return one SHA-256 over the paths of files and their SHA-256, in any order."""
    text = json.dumps(sorted(digests.items()), separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _entries(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Yield everything below a folder that is not a folder, by its path inside; links are not followed.

    Raises:
        WrongContent: folders lie in each other more deeply than can be handled everywhere.
    """
    if prefix.count("/") > MAX_DEPTH:
        top = prefix.split("/")[0]
        raise WrongContent(
            f"More than {MAX_DEPTH} folders lie in each other below {str(folder)[: -len(prefix)]}/{top}.",
            "Move the files up, or pack them into an archive, whose folders are only names.",
        )
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(Path(entry.path), name + "/")
            else:
                yield name, Path(entry.path)
