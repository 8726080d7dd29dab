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
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapeout.graph.action import Action
from tapeout.graph.digest import canonical, digest_bytes, digest_files, digest_value, write_atomically
from tapeout.graph.errors import NotWritable
from tapeout.graph.manifest import Entry, Manifest, sealed_time_ns


@dataclass(frozen=True)
class Store:
    """A content-addressed folder, shared by as many runs as one likes."""

    root: Path

    def object_path(self, entry: Entry) -> Path:
        """Where a file lies; executables lie apart, because hard links share their mode."""
        return self.root / "objects" / entry.digest[:2] / (entry.digest + ("x" if entry.executable else ""))

    def action_path(self, digest: str) -> Path:
        """Where an action's entry lies."""
        return self.root / "actions" / digest[:2] / f"{digest}.json"

    def find(self, action_digest: str) -> Manifest | None:
        """The manifest that an action's output was sealed with; a damaged entry is put aside and counts as none."""
        entry = self.read_entry(action_digest)
        return None if entry is None else Manifest.from_json(entry["manifest"])

    def read_entry(self, action_digest: str) -> dict[str, Any] | None:
        """The whole entry (action, manifest), or nothing if it is missing or damaged."""
        path = self.action_path(action_digest)
        try:
            sealed = json.loads(path.read_bytes())
            entry: dict[str, Any] = sealed["entry"]
            sound = digest_bytes(canonical(entry)) == sealed["digest"]
            sound = sound and digest_value(entry["action"]) == action_digest
            Manifest.from_json(entry["manifest"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            self.quarantine(path)
            return None
        return entry

    def quarantine(self, path: Path) -> None:
        """Put a damaged file aside, under a name that says what it should have been."""
        place = self.root / "quarantine"
        place.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.rename(unused(place / path.name))

    def seal(self, action: Action, manifest: Manifest, output: Path) -> None:
        """Take an output into the store: its files first, the entry that vouches for them last.

        Args:
            action: what made it.
            manifest: its files, with digests (``manifest.take``); each was read once and is not read again.
            output: where it lies; its files are moved away.
        """
        for entry in manifest.entries:
            self._take_in(output / entry.path if entry.path else output, entry)
        entry_value = {"action": action.value, "manifest": manifest.as_json()}
        sealed = {"entry": entry_value, "digest": digest_bytes(canonical(entry_value))}
        write_atomically(self.action_path(action.digest), canonical(sealed) + b"\n")

    def _take_in(self, file: Path, entry: Entry) -> None:
        # over an object that is there already: the new one is known to be right
        place = self.object_path(entry)
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
        file.chmod(mode(entry))
        os.utime(file, ns=(sealed_time_ns(entry.digest), sealed_time_ns(entry.digest)))
        try:
            os.replace(file, place)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(file, place)
            file.unlink()

    def sound(self, manifest: Manifest) -> bool:
        """Read every object of an artifact; put damaged ones aside. True if all are there and right."""
        places = [self.object_path(entry) for entry in manifest.entries]
        if not all(place.is_file() for place in places):
            return False
        damaged = [
            place
            for place, entry, digest in zip(places, manifest.entries, digest_files(places), strict=True)
            if digest != entry.digest
        ]
        for place in damaged:
            self.quarantine(place)
        for place, entry in zip(places, manifest.entries, strict=True):
            if place not in damaged and stat.S_IMODE(place.stat().st_mode) != mode(entry):
                place.chmod(mode(entry))
        return not damaged

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
            try:
                os.link(self.object_path(entry), file)
            except OSError as error:
                if error.errno not in {errno.EXDEV, errno.EMLINK, errno.EPERM, errno.ENOTSUP}:
                    raise
                _copy(self.object_path(entry), file)
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target):
            target.rename(old)
        new.rename(target)
        shutil.rmtree(scratch)

    def remember(self, kind: str, digest: str, value: Callable[[], dict[str, Any]]) -> None:
        """Keep what a digest stands for (the packages of an environment, the definitions of a module), for people."""
        path = self.root / kind / digest[:2] / f"{digest}.json"
        if not path.exists():
            write_atomically(path, canonical(value()) + b"\n")

    def recall(self, kind: str, digest: str) -> dict[str, Any]:
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
    def locked(self, action_digest: str) -> Iterator[None]:
        """Hold an action, so that two runs on one store build it once; the second finds it sealed."""
        place = self.root / "locks" / action_digest
        with holding(place):
            yield

    def record(self, line: dict[str, Any]) -> None:
        """Add a line to the journal: what is worth remembering of a build and is no part of any identity."""
        with contextlib.suppress(PermissionError), open(self.root / "journal.jsonl", "ab", buffering=0) as file:
            file.write(canonical(line) + b"\n")

    def journal(self) -> list[dict[str, Any]]:
        """All lines of the journal; a line that a crash cut short is passed over."""
        path = self.root / "journal.jsonl"
        lines = []
        for line in path.read_bytes().splitlines() if path.exists() else []:
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines


def mode(entry: Entry) -> int:
    """Permissions of an object: nobody writes."""
    return 0o555 if entry.executable else 0o444


def unused(path: Path) -> Path:
    """``path`` with the first number behind it that is not taken."""
    number = 0
    while os.path.lexists(place := path.with_name(f"{path.name}.{number}")):
        number += 1
    return place


@contextlib.contextmanager
def holding(path: Path) -> Iterator[None]:
    """Hold a lock file; the system lets go of it when the process ends, however.

    Raises:
        NotWritable: the file belongs to somebody else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = open(path, "w")  # noqa: SIM115 - closed below
    except PermissionError as error:
        cure = "Give the group write permission (setgid folder, umask 002), or use a store of your own."
        raise NotWritable(f"{path} cannot be written.", cure) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _copy(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    shutil.copyfile(source, temporary)
    shutil.copystat(source, temporary)
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, target)
