"""What a local folder is as a source: which files it has, and one digest of them all.

The digest is taken when the workflow starts, and again of the copy that the step ``fetch`` makes, so that a file edited
in between is noticed.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from tapeout.config.sources import FolderSource
from tapeout.errors import TapeoutError


class UnusableFolder(TapeoutError):
    """A local folder is not there, cannot be read, or holds what is no file of its own."""


def listing(source: FolderSource) -> dict[str, Path]:
    """The files of a folder, by their paths inside it, sorted.

    Raises:
        UnusableFolder: as named; nothing that the patterns take is passed over.
    """
    root = Path(source.path)
    if not root.is_dir():
        raise UnusableFolder(f"There is no folder {source.path}.", "Correct the sources file.")
    try:
        found = {name: path for name, path in _below(root, "") if _taken(name, source, path)}
    except OSError as error:
        raise UnusableFolder(
            f"{error.filename} cannot be read: {error.strerror}.", "Give yourself the right to read it."
        ) from error
    if not found:
        raise UnusableFolder(f"The folder {source.path} has no file that include takes.", "Correct the sources file.")
    return dict(sorted(found.items()))


def tree_digest(digests: Mapping[str, str]) -> str:
    """SHA-256 over the paths of files and their SHA-256, whatever their order."""
    text = json.dumps(sorted(digests.items()), separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _below(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Path inside the folder of everything that is no folder; links are not followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _below(Path(entry.path), name + "/")
            else:
                yield name, Path(entry.path)


def _taken(name: str, source: FolderSource, path: Path) -> bool:
    """Whether the patterns take it; a link to a folder is taken unless it is excluded, as its files might be."""
    if any(fnmatchcase(f"/{name}", pattern) for pattern in source.exclude):
        return False
    included = any(fnmatchcase(f"/{name}", pattern) for pattern in source.include)
    if path.is_symlink() and (included or path.is_dir()):
        raise UnusableFolder(
            f"{name!r} in the folder {source.path} is a link.", "Put what it points to in its place, or exclude it."
        )
    if not included:
        return False
    if not path.is_file():
        raise UnusableFolder(f"{name!r} in the folder {source.path} is no ordinary file.", "Exclude it.")
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UnusableFolder(
            f"The name {name!r} in the folder {source.path} is not UTF-8.", "Rename or exclude it."
        ) from error
    return True
