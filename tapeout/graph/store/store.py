"""Content-addressed store of artifacts, and of the actions that made them.

``objects/`` has read-only files by digest, ``actions/`` one JSON file for each action digest with the action and the
manifest of its output. Files enter by rename and leave by hard link, so an artifact needs its disk space once; across
file systems they are copied.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from tapeout.graph.errors import NotAPlainFile, NotWritable
from tapeout.graph.files import (
    SHARING_FIX,
    copy_atomically,
    file_lock,
    link_or_copy,
    only_regular,
    parse_json,
    read_file,
    read_json,
    unused_path,
    write_atomically,
)
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.digest import canonical, digest_files
from tapeout.graph.identity.manifest import Entry, Manifest, sealed_time_ns
from tapeout.graph.store.entry import decode, encode

NOT_PERMITTED = {errno.EACCES, errno.EPERM, errno.EROFS}
COLLECTOR_LOCK = "collector.lock"
JOURNAL_KEYS = {"artifact", "action", "finished"}
"""Keys of every line of the journal."""
JOURNAL_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("artifact", "rule", "recipe", "action", "digest", "machine", "run", "job"), str),
    **{"seconds": (int, float), "cores": int, "threads": int, "resources": dict, "finished": str},
}
"""Types of the values by key."""
UMASK_LOCK = threading.Lock()
"""Held while a thread changes the umask of the process."""


@dataclass(frozen=True)
class Store:
    """Content-addressed folder that any number of runs may share.

    If the group may write ``root``, it may write everything created in it, regardless of the creator's umask. All
    methods that write raise ``NotWritable`` if the user has no permission, unless their docstring states otherwise.
    """

    root: Path

    def object_path(self, entry: Entry) -> Path:
        """Return the path of a file; executables are separate objects, because hard links share their mode."""
        return self.root / object_key(entry)

    def action_path(self, digest: str) -> Path:
        """Return the path of an action's entry."""
        return self.root / action_key(digest)

    def lock_path(self, action_digest: str) -> Path:
        """Return the file that a run locks while it carries out an action."""
        return self.root / "locks" / action_digest

    @cached_property
    def _shared(self) -> bool:
        self.root.mkdir(parents=True, exist_ok=True)
        return bool(self.root.stat().st_mode & stat.S_IWGRP)

    @contextlib.contextmanager
    def writing(self, path: Path) -> Iterator[None]:
        """Create the folder of ``path``, and turn missing permissions into a named error.

        Raises:
            NotWritable: this user may not write the folder or something in it.
        """
        try:
            self.make_folder(path.parent)
            yield
        except OSError as error:
            if error.errno not in NOT_PERMITTED:
                raise
            raise NotWritable(f"{error.filename or path} cannot be written.", SHARING_FIX) from error

    def open(self, path: Path, mode: str) -> IO[bytes]:
        """Open a file without a buffer; the group may write it if it may write the store."""
        with self.writing(path), self._group_umask():
            return open(path, mode, buffering=0, opener=only_regular)

    def write(self, path: Path, data: bytes) -> None:
        """Write a small file of the store atomically; the group may write it if it may write the store."""
        with self.writing(path), self._group_umask():
            write_atomically(path, data)

    def make_folder(self, path: Path) -> None:
        """Create a folder of the store with its parents."""
        if not path.is_dir():
            with self._group_umask():
                path.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def _group_umask(self) -> Iterator[None]:
        if not self._shared:
            yield
            return
        with UMASK_LOCK:
            before = os.umask(0o077)
            os.umask(before & ~0o070)
            try:
                yield
            finally:
                os.umask(before)

    def find(self, action_digest: str) -> Manifest | None:
        """Return the manifest of an action's output, or None if the entry is missing or damaged."""
        entry = self.read_entry(action_digest)
        return None if entry is None else Manifest.from_json(entry["manifest"])

    def read_entry(self, action_digest: str) -> dict[str, Any] | None:
        """Return action and manifest as JSON values, or None if the entry is missing; quarantine a damaged one."""
        path = self.action_path(action_digest)
        try:
            action, manifest = decode(read_file(path), action_digest)
        except FileNotFoundError:
            return None
        except ValueError:
            self.quarantine(path)
            return None
        return {"action": action.value, "manifest": manifest.as_json()}

    def entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield action digest and entry of all intact entries, sorted by digest."""
        for path in sorted((self.root / "actions").glob("*/*.json")):
            entry = self.read_entry(path.stem)
            if entry is not None:
                yield path.stem, entry

    def quarantine(self, path: Path) -> None:
        """Move a damaged file to ``quarantine/``, under its own name.

        In a store that this user cannot write it stays where it is; it is not used there either.
        """
        target = self.root / "quarantine" / path.name
        with contextlib.suppress(FileNotFoundError, NotWritable), self.writing(target):
            path.rename(unused_path(target))

    def seal(self, action: Action, manifest: Manifest, output: Path) -> None:
        """Move an output into the store: first its files, last the entry that makes them valid."""
        for entry in manifest.entries:
            self.add_object(output / entry.path if entry.path else output, entry)
        self.write_entry(action, manifest)

    def write_entry(self, action: Action, manifest: Manifest) -> None:
        """Write the entry of an action whose objects are all in the store."""
        self.write(self.action_path(action.digest), encode(action.value, manifest))

    def add_object(self, file: Path, entry: Entry) -> None:
        """Move a file whose digest is known to be right into the store, over one that may exist."""
        path = self.object_path(entry)
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
        file.chmod(object_mode(entry))
        os.utime(file, ns=(sealed_time_ns(entry.digest), sealed_time_ns(entry.digest)))
        with self.writing(path):
            try:
                os.replace(file, path)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                copy_atomically(file, path)
                file.unlink()

    def replace_object(self, file: Path, entry: Entry) -> None:
        """Link a file whose digest is known to be right as an object; an existing object is quarantined."""
        path = self.object_path(entry)
        self.quarantine(path)
        with self.writing(path):
            link_or_copy(file, path)
            os.utime(path, ns=(sealed_time_ns(entry.digest), sealed_time_ns(entry.digest)))

    def is_complete(self, manifest: Manifest) -> bool:
        """Return whether all objects of an artifact exist; the collector keeps entries without their objects."""
        return all(self.object_path(entry).is_file() for entry in manifest.entries)

    def seems_intact(self, manifest: Manifest) -> bool:
        """Return whether all objects of an artifact exist and are intact, usually without reading them.

        Results are hard links into the store, so whoever edits a result in place edits the object. A file whose
        size and time are those of its sealing is not read here; ``verify_objects`` reads it before it is used.
        """
        if not self.is_complete(manifest):
            return False
        unsealed = []
        for entry in manifest.entries:
            path = self.object_path(entry)
            info = path.stat()
            if info.st_size != entry.size:
                return False
            if info.st_mtime_ns != sealed_time_ns(entry.digest):
                unsealed.append((path, entry.digest))
        digests = digest_files(path for path, _ in unsealed)
        return all(digest == known for digest, (_, known) in zip(digests, unsealed, strict=True))

    def verify_objects(self, manifest: Manifest) -> bool:
        """Read all objects of an artifact, quarantine damaged ones, and return whether all were intact."""
        if not self.is_complete(manifest):
            return False
        paths = [self.object_path(entry) for entry in manifest.entries]
        damaged = [
            path
            for path, entry, digest in zip(paths, manifest.entries, digest_files(paths), strict=True)
            if digest != entry.digest
        ]
        for path in damaged:
            self.quarantine(path)
        for path, entry in zip(paths, manifest.entries, strict=True):
            if path not in damaged and stat.S_IMODE(path.stat().st_mode) != object_mode(entry):
                with contextlib.suppress(PermissionError):  # another user's file, and intact
                    path.chmod(object_mode(entry))
        return not damaged

    def has_content(self, root: Path) -> bool:
        """Read every file below ``root``; return whether the store has all of them, so that nothing can be lost."""
        try:
            manifest = Manifest.of(root, "", "")
        except NotAPlainFile:
            return False
        return self.is_complete(manifest)

    def link(self, manifest: Manifest, target: Path, scratch: Path) -> None:
        """Replace ``target`` by an artifact of the store, with hard links where the file system permits them.

        The new tree is built in ``scratch`` and renamed, so that ``target`` is never a mixture of two artifacts. The
        caller removes the old manifest before, and writes the new one after.
        """
        new, old = scratch / "new", scratch / "old"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        if manifest.kind == "folder":
            new.mkdir()
        for entry in manifest.entries:
            file = new / entry.path if entry.path else new
            file.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(self.object_path(entry), file)
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target):
            target.rename(old)
        new.rename(target)
        shutil.rmtree(scratch)

    def save_description(self, kind: str, digest: str, value: Callable[[], dict[str, Any]]) -> None:
        """Save what a digest stands for (packages of an environment, definitions of a module), to explain changes."""
        path = self._description_path(kind, digest)
        if not path.exists():
            self.write(path, canonical(value()) + b"\n")

    def load_description(self, kind: str, digest: str) -> dict[str, Any]:
        """Return what ``save_description`` saved, or an empty dictionary."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            description: dict[str, Any] = read_json(self._description_path(kind, digest))
            return description
        return {}

    def _description_path(self, kind: str, digest: str) -> Path:
        return self.root / kind / digest[:2] / f"{digest}.json"

    @contextlib.contextmanager
    def lock_action(self, action_digest: str) -> Iterator[None]:
        """Lock an action, so that two runs build it once; the second run waits and finds it sealed."""
        path = self.lock_path(action_digest)
        self.open(path, "ab").close()
        with file_lock(path):
            yield

    def is_locked(self, action_digest: str) -> bool:
        """Return whether another process has locked an action."""
        path = self.lock_path(action_digest)
        self.open(path, "ab").close()
        with open(path, "ab+", buffering=0, opener=only_regular) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the garbage collector from running while files enter or leave the store; many processes may.

        In a store that this user cannot write the collector is not stopped: it could only break the restoring of a
        file, which is detected.
        """
        path = self.root / COLLECTOR_LOCK
        try:
            self.open(path, "ab").close()
        except NotWritable:
            lock: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        else:
            lock = file_lock(path, fcntl.LOCK_SH)
        with lock:
            yield

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Keep every process that calls ``in_use`` waiting while garbage is collected."""
        self.open(self.root / COLLECTOR_LOCK, "ab").close()
        with file_lock(self.root / COLLECTOR_LOCK):
            yield

    def append_journal(self, line: dict[str, Any]) -> None:
        """Append facts about a build that are not part of any identity, such as its duration, to the journal."""
        with contextlib.suppress(NotWritable), self.open(self.root / "journal.jsonl", "ab") as file:
            file.write(canonical(line) + b"\n")

    def journal(self) -> list[dict[str, Any]]:
        """Return all lines of the journal; what a crash cut short or somebody edited is ignored."""
        path = self.root / "journal.jsonl"
        lines = []
        for line in read_file(path).splitlines() if path.exists() else []:
            with contextlib.suppress(ValueError):
                lines.append(parse_json(line))
        return list(filter(_is_journal_line, lines))


def _is_journal_line(line: Any) -> bool:
    if not isinstance(line, dict) or not line.keys() >= JOURNAL_KEYS:
        return False
    try:
        at = datetime.fromisoformat(line["finished"])
    except (ValueError, TypeError):
        return False
    known = line.keys() & JOURNAL_TYPES.keys()
    return at.tzinfo is not None and all(isinstance(line[key], JOURNAL_TYPES[key]) for key in known)


def object_key(entry: Entry) -> str:
    """Return the path of a file relative to the root of any store, local or remote."""
    return f"objects/{entry.digest[:2]}/{entry.digest}{'x' if entry.executable else ''}"


def action_key(digest: str) -> str:
    """Return the path of an action's entry relative to the root of any store, local or remote."""
    return f"actions/{digest[:2]}/{digest}.json"


def object_mode(entry: Entry) -> int:
    """Return the permissions of an object: nobody may write it."""
    return 0o555 if entry.executable else 0o444
