"""Manifests: the files of an artifact with their digests, and one digest of the whole."""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tapeout.graph.errors import InputChanged, NotAPlainFile
from tapeout.graph.identity.digest import canonical, digest_files, digest_value

SCHEMA = 1
MAX_FOLDERS = 200
"""Folders that may lie in each other."""

EPOCH = 946_684_800
"""2000-01-01 UTC in seconds."""
FOLDER_MODE, FOLDER_TIME_NS = 0o755, EPOCH * 10**9
"""Permissions and modification time, in ns, of the folders of every published artifact."""


def sealed_time_ns(digest: str) -> int:
    """Return the modification time, in ns, of a sealed file: a whole second of 2000 to 2008, computed from its digest.

    A file with the right size and this time has not been written since it was sealed, and was not replaced by another
    sealed file. It need not be read again: the file is its own stat cache.
    """
    return (EPOCH + int(digest[:7], 16)) * 10**9


@dataclass(frozen=True, order=True)
class Entry:
    """One file of an artifact.

    Attributes:
        path: relative, with slashes; empty if the artifact is a single file.
        executable: whether its owner may execute it.
        size: bytes.
        digest: SHA-256 in hexadecimal.
    """

    path: str
    executable: bool
    size: int
    digest: str


@dataclass(frozen=True)
class Manifest:
    """Files of an artifact, and the digest of the action that made it.

    Attributes:
        artifact: its name.
        action: digest of the action; empty for files that no action made.
        kind: ``file`` or ``folder``.
        entries: its files, sorted by path.
    """

    artifact: str
    action: str
    kind: str
    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """Total size of the files in bytes."""
        return sum(entry.size for entry in self.entries)

    def digest(self, path: str = "") -> str:
        """Return the digest of the artifact, or of the file or folder at ``path`` in it.

        That of a file is the SHA-256 of its bytes, unless it is executable: then the digest covers that, too.
        The actions of steps that read the artifact contain nothing else of it.

        Raises:
            InputChanged: there is nothing at ``path``.
        """
        if path in self._by_path:
            entry = self._by_path[path]
            return digest_value([entry.digest, "x"]) if entry.executable else entry.digest
        below = [entry for entry in self.entries if not path or entry.path.startswith(f"{path}/")]
        if not below:
            raise InputChanged(
                f"Artifact {self.artifact} has no file or folder {path!r}.",
                "Correct the path in the rule that reads it.",
            )
        start = len(path) + 1 if path else 0
        return digest_value([[entry.path[start:], entry.executable, entry.size, entry.digest] for entry in below])

    @cached_property
    def _by_path(self) -> dict[str, Entry]:
        """Entries by path; an artifact may have thousands of files, each an input of some step."""
        return {entry.path: entry for entry in self.entries}

    @classmethod
    def of(cls, root: Path, artifact: str, action: str) -> "Manifest":
        """Read every file below ``root`` once and return the manifest.

        Raises:
            NotAPlainFile: see ``walk``.
            FileNotFoundError: ``root`` is missing.
        """
        files = sorted(walk(root), key=lambda item: item[0])
        digests = digest_files(root / path if path else root for path, _ in files)
        entries = tuple(
            Entry(path, bool(info.st_mode & stat.S_IXUSR), info.st_size, digest)
            for (path, info), digest in zip(files, digests, strict=True)
        )
        return cls(artifact, action, "folder" if root.is_dir() else "file", entries)

    def matches(self, root: Path) -> bool:
        """Return whether the files at ``root`` match the manifest, usually without reading them.

        A file with the recorded size and the modification time of its sealing is trusted. Any other file is read; if
        its digest is right, only its time had changed, and the time is restored.
        """
        try:
            status = dict(walk(root))
        except (FileNotFoundError, NotAPlainFile):
            return False
        if status.keys() != self._by_path.keys() or (self.kind == "folder") != root.is_dir():
            return False
        unsealed = []
        for path, info in status.items():
            entry = self._by_path[path]
            if info.st_size != entry.size or bool(info.st_mode & stat.S_IXUSR) != entry.executable:
                return False
            if info.st_mtime_ns != sealed_time_ns(entry.digest):
                unsealed.append(path)
        files = [root / path if path else root for path in unsealed]
        for path, file, digest in zip(unsealed, files, digest_files(files), strict=True):
            if digest != self._by_path[path].digest or file.lstat().st_ctime_ns != status[path].st_ctime_ns:
                return False  # other bytes, or written while it was read
            with contextlib.suppress(PermissionError):  # another user's file: it is read again the next time
                os.utime(file, ns=(sealed_time_ns(digest), sealed_time_ns(digest)))
        return True

    def encode(self) -> bytes:
        """Return the bytes of the manifest file."""
        return canonical(self.as_json()) + b"\n"

    def as_json(self) -> dict[str, Any]:
        """Return the manifest as JSON values, with its digest and size for other programs."""
        return {
            "schema": SCHEMA,
            "artifact": self.artifact,
            "action": self.action,
            "kind": self.kind,
            "digest": self.digest(),
            "size": self.size,
            "files": [asdict(entry) for entry in self.entries],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Manifest":
        """Return the manifest of which ``value`` is the ``as_json``.

        Raises:
            KeyError, TypeError, ValueError: it is not the ``as_json`` of any manifest.
        """
        entries = tuple(Entry(**entry) for entry in value["files"])
        result = cls(value["artifact"], value["action"], value["kind"], entries)
        if not entries or result.digest() != value["digest"]:
            raise ValueError("the manifest contradicts itself")
        return result


def walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield all files below ``root`` (or ``root`` itself), sorted within each folder, with their ``lstat``.

    Raises:
        NotAPlainFile: something is neither a folder nor a regular file.
    """
    if root.is_dir() and not root.is_symlink():
        for folder, folders, files in os.walk(root):
            folders.sort()
            if folder[len(str(root)) :].count(os.sep) > MAX_FOLDERS:
                raise NotAPlainFile(
                    f"More than {MAX_FOLDERS} folders lie in each other in {root}.", "Move the files up, or pack them."
                )
            for link in [name for name in folders if os.path.islink(os.path.join(folder, name))]:
                files.append(link)
            for name in sorted(files):
                path = Path(folder, name)
                inside = path.relative_to(root).as_posix()
                yield inside, _plain(path, inside)
    else:
        yield "", _plain(root, root.name)


def _plain(path: Path, inside: str) -> os.stat_result:
    """Return the ``lstat`` of a file whose path ``inside`` an artifact has printable names only."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or not inside.isprintable():
        raise NotAPlainFile(
            f"{str(path)!r} is not a regular file with a printable name.",
            "Let the step write plain files and folders; the target of a link could change unnoticed.",
        )
    return status
