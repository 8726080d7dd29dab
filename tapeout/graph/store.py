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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapeout.graph.action import Action
from tapeout.graph.digest import canonical, digest_bytes, digest_files, write_atomically
from tapeout.graph.manifest import SEALED_TIME_NS, Entry, Manifest


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
        number = sum(1 for other in place.iterdir() if other.name.startswith(path.name))
        with contextlib.suppress(FileNotFoundError):
            path.rename(place / f"{path.name}.{number}")

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
        place = self.object_path(entry)
        if place.exists() and place.stat().st_mtime_ns == SEALED_TIME_NS and place.stat().st_size == entry.size:
            file.unlink()
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
        os.chmod(file, 0o555 if entry.executable else 0o444)
        os.utime(file, ns=(SEALED_TIME_NS, SEALED_TIME_NS))
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

    @contextlib.contextmanager
    def locked(self, action_digest: str) -> Iterator[None]:
        """Hold an action, so that two runs on one store build it once; the second finds it sealed."""
        place = self.root / "locks" / action_digest
        place.parent.mkdir(parents=True, exist_ok=True)
        with open(place, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def record(self, line: dict[str, Any]) -> None:
        """Add a line to the journal: what is worth remembering of a build and is no part of any identity."""
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.root / "journal.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, canonical(line) + b"\n")
        finally:
            os.close(descriptor)

    def journal(self) -> list[dict[str, Any]]:
        """All lines of the journal; a line that a crash cut short is passed over."""
        path = self.root / "journal.jsonl"
        lines = []
        for line in path.read_bytes().splitlines() if path.exists() else []:
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
        return lines


def _copy(source: Path, target: Path) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.copyfile(source, temporary)
    shutil.copymode(source, temporary)
    os.utime(temporary, ns=(SEALED_TIME_NS, SEALED_TIME_NS))
    with open(temporary, "rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, target)
