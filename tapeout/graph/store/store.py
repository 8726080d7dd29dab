"""The store: every artifact ever sealed, by content, and which action made it.

``objects/`` holds read-only files by digest, ``actions/`` one JSON file for each action digest with the action and the
manifest of its output. Files come in by rename and go out by hard link, so that an artifact exists once on the disk;
across file systems they are copied.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from tapeout.graph.errors import NotAPlainFile, NotWritable
from tapeout.graph.files import SHARING_FIX, copy_atomically, file_lock, link_or_copy, unused_path, write_atomically
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.digest import canonical, digest_files
from tapeout.graph.identity.manifest import Entry, Manifest, sealed_time_ns
from tapeout.graph.store.entry import decode, encode

NO_WRITING = {errno.EACCES, errno.EPERM, errno.EROFS}
COLLECTOR = "collector.lock"
UMASK = threading.Lock()
"""Held by whoever changes the process's umask for a moment."""


@dataclass(frozen=True)
class Store:
    """A content-addressed folder, shared by as many runs as one likes.

    Where the group may write ``root``, it may write whatever is made in it, whatever the maker's umask.
    """

    root: Path

    def object_path(self, entry: Entry) -> Path:
        """Where a file lies; executables lie apart, because hard links share their mode."""
        return self.root / object_key(entry)

    def action_path(self, digest: str) -> Path:
        """Where an action's entry lies."""
        return self.root / action_key(digest)

    def lock_path(self, action_digest: str) -> Path:
        """The file that a run holds while it carries out an action."""
        return self.root / "locks" / action_digest

    @cached_property
    def _shared(self) -> bool:
        self.root.mkdir(parents=True, exist_ok=True)
        return bool(self.root.stat().st_mode & stat.S_IWGRP)

    @contextlib.contextmanager
    def writing(self, place: Path) -> Iterator[None]:
        """Write at ``place``: its folder is made; what cannot be written is named.

        Raises:
            NotWritable: the folder or what lies in it may not be written by this user.
        """
        try:
            self.folder(place.parent)
            yield
        except OSError as error:
            if error.errno not in NO_WRITING:
                raise
            raise NotWritable(f"{error.filename or place} cannot be written.", SHARING_FIX) from error

    def open(self, place: Path, how: str) -> IO[bytes]:
        """Open a file that the group may write if it may write the store.

        Raises:
            NotWritable: this user may not.
        """
        with self.writing(place), self._for_the_group():
            return open(place, how, buffering=0)

    def write(self, place: Path, data: bytes) -> None:
        """Write a small file of the store, whole or not at all, for whoever shares it.

        Raises:
            NotWritable: this user may not.
        """
        with self.writing(place), self._for_the_group():
            write_atomically(place, data)

    def folder(self, place: Path) -> None:
        """Make a folder of the store, and the folders that it lies in."""
        if not place.is_dir():
            with self._for_the_group():
                place.mkdir(parents=True, exist_ok=True)

    @contextlib.contextmanager
    def _for_the_group(self) -> Iterator[None]:
        if not self._shared:
            yield
            return
        with UMASK:
            before = os.umask(0o077)
            os.umask(before & ~0o070)
            try:
                yield
            finally:
                os.umask(before)

    def find(self, action_digest: str) -> Manifest | None:
        """The manifest that an action's output was sealed with; a damaged entry is put aside and counts as none."""
        entry = self.read_entry(action_digest)
        return None if entry is None else Manifest.from_json(entry["manifest"])

    def read_entry(self, action_digest: str) -> dict[str, Any] | None:
        """The whole entry (action, manifest), or nothing if it is missing or damaged."""
        path = self.action_path(action_digest)
        try:
            action, manifest = decode(path.read_bytes(), action_digest)
        except FileNotFoundError:
            return None
        except ValueError:
            self.quarantine(path)
            return None
        return {"action": action.value, "manifest": manifest.as_json()}

    def quarantine(self, path: Path) -> None:
        """Put a damaged file aside, under a name that says what it should have been.

        In a store that this user cannot write it stays where it is, and is not believed there either.
        """
        place = self.root / "quarantine" / path.name
        with contextlib.suppress(FileNotFoundError, NotWritable), self.writing(place):
            path.rename(unused_path(place))

    def seal(self, action: Action, manifest: Manifest, output: Path) -> None:
        """Take an output into the store: its files first, the entry that vouches for them last.

        Args:
            action: what made it.
            manifest: its files, with digests (``manifest.take``); each was read once and is not read again.
            output: where it lies; its files are moved away.

        Raises:
            NotWritable: this user may not write the store.
        """
        for entry in manifest.entries:
            self.add_object(output / entry.path if entry.path else output, entry)
        self.write_entry(action, manifest)

    def write_entry(self, action: Action, manifest: Manifest) -> None:
        """Write the entry of an action whose objects have all been taken in.

        Raises:
            NotWritable: this user may not write the store.
        """
        self.write(self.action_path(action.digest), encode(action.value, manifest))

    def add_object(self, file: Path, entry: Entry) -> None:
        """Move one file, which is known to be what ``entry`` says, into the store, over one that may be there already.

        Raises:
            NotWritable: this user may not write the store.
        """
        place = self.object_path(entry)
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
        file.chmod(mode(entry))
        os.utime(file, ns=(sealed_time_ns(entry.digest), sealed_time_ns(entry.digest)))
        with self.writing(place):
            try:
                os.replace(file, place)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                copy_atomically(file, place)
                file.unlink()

    def replace_object(self, file: Path, entry: Entry) -> None:
        """Take a file that is known to be right as an object, also in place of one; it stays where it is, too.

        Raises:
            NotWritable: this user may not write the store.
        """
        place = self.object_path(entry)
        self.quarantine(place)
        with self.writing(place):
            link_or_copy(file, place)
            os.utime(place, ns=(sealed_time_ns(entry.digest), sealed_time_ns(entry.digest)))

    def is_complete(self, manifest: Manifest) -> bool:
        """Whether every object of an artifact is there, by name; the collector keeps entries without their objects."""
        return all(self.object_path(entry).is_file() for entry in manifest.entries)

    def verify_objects(self, manifest: Manifest) -> bool:
        """Read every object of an artifact; put damaged ones aside. True if all are there and right."""
        if not self.is_complete(manifest):
            return False
        places = [self.object_path(entry) for entry in manifest.entries]
        damaged = [
            place
            for place, entry, digest in zip(places, manifest.entries, digest_files(places), strict=True)
            if digest != entry.digest
        ]
        for place in damaged:
            self.quarantine(place)
        for place, entry in zip(places, manifest.entries, strict=True):
            if place not in damaged and stat.S_IMODE(place.stat().st_mode) != mode(entry):
                with contextlib.suppress(PermissionError):  # another user's file, and right
                    place.chmod(mode(entry))
        return not damaged

    def has_content(self, root: Path) -> bool:
        """Read every file below ``root``; True if all are here by their bytes, so that nothing is lost with them."""
        try:
            found = Manifest.of(root, "", "")
        except NotAPlainFile:
            return False
        return all(self.object_path(entry).is_file() for entry in found.entries)

    def link(self, manifest: Manifest, target: Path, scratch: Path) -> None:
        """Make ``target`` the artifact, by hard links where the file system allows it.

        The new tree is made in ``scratch`` and renamed, so that ``target`` is never half one thing and half another;
        the caller takes the old manifest away before and writes the new one after.
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
        """Keep what a digest stands for (the packages of an environment, the definitions of a module), for people."""
        path = self.root / kind / digest[:2] / f"{digest}.json"
        if not path.exists():
            self.write(path, canonical(value()) + b"\n")

    def load_description(self, kind: str, digest: str) -> dict[str, Any]:
        """What ``remember`` kept; empty if nothing."""
        path = self.root / kind / digest[:2] / f"{digest}.json"
        with contextlib.suppress(FileNotFoundError, ValueError):
            found: dict[str, Any] = json.loads(path.read_bytes())
            return found
        return {}

    def entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """All sound entries by action digest, in the order of the digests."""
        for path in sorted((self.root / "actions").glob("*/*.json")):
            entry = self.read_entry(path.stem)
            if entry is not None:
                yield path.stem, entry

    @contextlib.contextmanager
    def lock_action(self, action_digest: str) -> Iterator[None]:
        """Hold an action, so that two runs on one store build it once; the second finds it sealed.

        Raises:
            NotWritable: this user may not write the store.
        """
        place = self.lock_path(action_digest)
        self.open(place, "ab").close()
        with file_lock(place):
            yield

    def is_locked(self, action_digest: str) -> bool:
        """Whether another process holds an action at this moment."""
        place = self.lock_path(action_digest)
        self.open(place, "ab").close()
        with open(place, "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold the garbage collector off while files go in or out; many may do so at once, and within each other.

        In a store that this user cannot write it is not held off: nothing but a restored file could be missed then.
        """
        place = self.root / COLLECTOR
        try:
            self.open(place, "ab").close()
        except NotWritable:
            held: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        else:
            held = file_lock(place, fcntl.LOCK_SH)
        with held:
            yield

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Hold everybody else off while the store is swept.

        Raises:
            NotWritable: this user may not write the store.
        """
        self.open(self.root / COLLECTOR, "ab").close()
        with file_lock(self.root / COLLECTOR):
            yield

    def append_journal(self, line: dict[str, Any]) -> None:
        """Add a line to the journal: what is worth remembering of a build and is no part of any identity."""
        with contextlib.suppress(NotWritable), self.open(self.root / "journal.jsonl", "ab") as file:
            file.write(canonical(line) + b"\n")

    def journal(self) -> list[dict[str, Any]]:
        """All lines of the journal; a line that a crash cut short is passed over."""
        path = self.root / "journal.jsonl"
        lines = []
        for line in path.read_bytes().splitlines() if path.exists() else []:
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines


def object_key(entry: Entry) -> str:
    """Where a file lies in a store, wherever that is."""
    return f"objects/{entry.digest[:2]}/{entry.digest}{'x' if entry.executable else ''}"


def action_key(digest: str) -> str:
    """Where an action's entry lies in a store, wherever that is."""
    return f"actions/{digest[:2]}/{digest}.json"


def mode(entry: Entry) -> int:
    """Permissions of an object: nobody writes."""
    return 0o555 if entry.executable else 0o444
