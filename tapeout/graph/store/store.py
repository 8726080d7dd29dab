"""Content-addressed store of artifacts, and of the actions that made them.

``objects/`` has read-only files by digest, ``actions/`` one JSON file for each action digest with the action and the
manifest of its output. Files enter by rename and leave by hard link, so an artifact needs its disk space once; across
file systems they are copied.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tapeout.graph.deletion import delete
from tapeout.graph.errors import InputChanged, NotAPlainFile, NotWritable
from tapeout.graph.files import copy_atomically, file_lock, link_or_copy, parse_json, read_plain, settle
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.digest import canonical, digest_files
from tapeout.graph.identity.manifest import FOLDER_MODE, FOLDER_TIME_NS, Entry, Manifest, sealed_time_ns
from tapeout.graph.store.entry import SHA256, content_digest, decode, encode, repeats
from tapeout.graph.store.folder import StoreFolder
from tapeout.graph.store.trust import Trust, merge

COLLECTOR_LOCK = "collector.lock"
JOURNAL_KEYS = {"artifact", "action", "finished"}
"""Keys of every line of the journal."""
JOURNAL_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("artifact", "rule", "recipe", "action", "digest", "machine", "run", "job"), str),
    **{"seconds": (int, float), "cores": int, "threads": int, "resources": dict, "finished": str},
}
"""Types of the values by key."""
OBJECT = re.compile("[0-9a-f]{64}x?")


@dataclass(frozen=True)
class Store(StoreFolder):
    """Content-addressed folder that any number of runs may share.

    Attributes:
        root: the folder.
        trust: which entries are used; None for all, where they are only counted or deleted.
    """

    trust: Trust | None = field(default=None, compare=False)

    def object_path(self, entry: Entry) -> Path:
        """Return the path of a file; executables are separate objects, because hard links share their mode."""
        return self.root / object_key(entry)

    def action_path(self, digest: str) -> Path:
        """Return the path of an action's entry."""
        return self.root / action_key(digest)

    def signature_path(self, digest: str) -> Path:
        """Return the path of the signatures of an action's entry."""
        return self.root / signature_key(digest)

    def lock_path(self, action_digest: str) -> Path:
        """Return the file that a run locks while it carries out an action."""
        return self.root / "locks" / action_digest

    def find(self, action_digest: str) -> Manifest | None:
        """Return the manifest of an action's output, or None if the entry is missing, damaged or not trusted."""
        stored = self._entry(action_digest)
        return None if stored is None else stored[1]

    def has_manifest(self, manifest: Manifest, text: bytes) -> bool:
        """Return whether the entry of a manifest's action has this manifest, whose file is ``text``."""
        if not SHA256.fullmatch(manifest.action):
            return False
        with contextlib.suppress(FileNotFoundError, NotAPlainFile):
            if content := repeats(read_plain(self.action_path(manifest.action)), text, manifest):
                return self._trusts(manifest, content)
        return self.find(manifest.action) == manifest  # in another form, or damaged

    def read_entry(self, action_digest: str) -> dict[str, Any] | None:
        """Return action and manifest as JSON values, or None as ``find`` does."""
        stored = self._entry(action_digest)
        return None if stored is None else {"action": stored[0].value, "manifest": stored[1].as_json()}

    def _entry(self, action_digest: str) -> tuple[Action, Manifest] | None:
        """Return action and manifest of an entry; quarantine a damaged one."""
        if not SHA256.fullmatch(action_digest):  # by a manifest or a journal that anybody may have written
            return None
        path = self.action_path(action_digest)
        try:
            action, manifest = decode(read_plain(path), action_digest)
        except FileNotFoundError:
            return None
        except (ValueError, NotAPlainFile):
            self.quarantine(path)
            return None
        content = content_digest(action, manifest) if self.trust is not None else ""
        return (action, manifest) if self._trusts(manifest, content) else None

    def distrusts(self, manifest: Manifest) -> bool:
        """Return whether the policy of trusted keys alone keeps an entry with this manifest from being used."""
        if self.trust is None or not self.trust.keys or self.find(manifest.action) is not None:
            return False
        return replace(self, trust=None).find(manifest.action) == manifest

    def _trusts(self, manifest: Manifest, content: str) -> bool:
        if self.trust is None:
            return True
        signature = self.read_signature(manifest.action) if self.trust.keys else None
        return self.trust.accepts(manifest, content, signature)

    def read_signature(self, action_digest: str) -> bytes | None:
        """Return the signatures of an entry, or None if there are none."""
        with contextlib.suppress(FileNotFoundError, NotAPlainFile):
            return read_plain(self.signature_path(action_digest))
        return None

    def entries(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield action digest and entry of all intact entries, sorted by digest."""
        for path in self.entry_paths():
            entry = self.read_entry(path.stem)
            if entry is not None:
                yield path.stem, entry

    def entry_paths(self) -> list[Path]:
        """Return the paths of all entries, sorted; anything else in their folder is not the store's."""
        paths = (self.root / "actions").glob("*/*.json")
        return sorted(path for path in paths if SHA256.fullmatch(path.stem) and path == self.action_path(path.stem))

    def object_paths(self) -> list[Path]:
        """Return the paths of all objects, sorted; anything else in their folder is not the store's."""
        paths = (self.root / "objects").glob("*/*")
        return sorted(path for path in paths if OBJECT.fullmatch(path.name) and path.parent.name == path.name[:2])

    def seal(self, action: Action, manifest: Manifest, output: Path) -> None:
        """Move an output into the store: first its files, last the entry that makes them valid."""
        for entry in manifest.entries:
            self.add_object(output / entry.path if entry.path else output, entry)
        self.write_entry(action, manifest)

    def write_entry(self, action: Action, manifest: Manifest, signature: bytes | None = None) -> None:
        """Write the entry of an action whose objects are all in the store, and before it the signatures of a remote.

        Args:
            action: the action.
            manifest: manifest of its output.
            signature: what a remote has; None for what was built here, which the user's key signs.
        """
        if signature is None and self.trust is not None:
            self.trust.note_built(manifest)
            signature = self.trust.sign(action.digest, content_digest(action, manifest))
        if signature:
            signature = merge(signature, self.read_signature(action.digest))
            self.write(self.signature_path(action.digest), signature)
        self.write(self.action_path(action.digest), encode(action.value, manifest))

    def sign(self, action_digest: str, trust: Trust) -> bool:
        """Sign an entry that is not signed yet with the user's key; return False without key or entry."""
        stored = self._entry(action_digest)
        signature = trust.sign(action_digest, content_digest(*stored)) if stored is not None else None
        if signature is None:
            return False
        self.write(self.signature_path(action_digest), merge(signature, self.read_signature(action_digest)))
        return True

    def is_signed(self, action_digest: str) -> bool:
        """Return whether a trusted key has signed the entry of an action."""
        stored = self._entry(action_digest)
        if self.trust is None or stored is None:
            return False
        content, signature = content_digest(*stored), self.read_signature(action_digest)
        return self.trust.has_signed(action_digest, content, signature)

    def add_object(self, file: Path, entry: Entry) -> None:
        """Move a file whose digest is known to be right into the store, over one that may exist."""
        path = self.object_path(entry)
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
        file.chmod(object_mode(entry))
        os.utime(file, ns=(sealed_time_ns(entry.digest), sealed_time_ns(entry.digest)))
        self.clear(path)
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
        return all(map(self.has_object, manifest.entries))

    def has_object(self, entry: Entry) -> bool:
        """Return whether there is a regular file of the right size in the place of an object."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            info = self.object_path(entry).lstat()
            return stat.S_ISREG(info.st_mode) and info.st_size == entry.size
        return False

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
            if path.stat().st_mtime_ns != sealed_time_ns(entry.digest):
                unsealed.append((path, entry.digest))
        digests = digest_files(path for path, _ in unsealed)
        return all(digest == known for digest, (_, known) in zip(digests, unsealed, strict=True))

    def verify_objects(self, manifest: Manifest) -> bool:
        """Read all objects of an artifact, quarantine damaged ones, and return whether all were intact."""
        for entry in manifest.entries:
            if not self.has_object(entry):
                self.quarantine(self.object_path(entry))
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

        The new tree is built in ``scratch`` and renamed, so that ``target`` is never a mixture of two artifacts. Its
        folders have the same mode and time wherever it is restored. The caller removes the old manifest before, and
        writes the new one after.
        """
        new, old = scratch / "new", scratch / "old"
        delete(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        if manifest.kind == "folder":
            new.mkdir()
        for entry in manifest.entries:
            file = new / entry.path if entry.path else new
            file.parent.mkdir(parents=True, exist_ok=True)
            self._fetch(entry, file)
        for folder, _, _ in os.walk(new):
            settle(Path(folder), FOLDER_MODE, FOLDER_TIME_NS)
        target.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(target):
            target.rename(old)
        new.rename(target)
        delete(scratch)

    def _fetch(self, entry: Entry, file: Path) -> None:
        """Link an object, or copy it if it belongs to somebody else, who could still write the same file later.

        Raises:
            InputChanged: the object was changed while it was copied.
        """
        source = self.object_path(entry)
        if source.lstat().st_uid == os.getuid():
            link_or_copy(source, file)
            return
        copy_atomically(source, file)
        if digest_files([file]) != [entry.digest]:
            raise InputChanged(f"The object {source} was changed while it was copied.", "Run the same command again.")

    def save_description(self, kind: str, digest: str, value: Callable[[], dict[str, Any]]) -> None:
        """Save what a digest stands for (packages of an environment, definitions of a module), to explain changes."""
        path = self._description_path(kind, digest)
        if not path.exists():
            self.write(path, canonical(value()) + b"\n")

    def load_description(self, kind: str, digest: str) -> dict[str, Any]:
        """Return what ``save_description`` saved, or an empty dictionary."""
        with contextlib.suppress(FileNotFoundError, NotAPlainFile, ValueError):
            description = parse_json(read_plain(self._description_path(kind, digest)))
            texts = isinstance(description, dict) and all(isinstance(text, str) for text in description.values())
            return description if texts else {}
        return {}

    def _description_path(self, kind: str, digest: str) -> Path:
        return self.root / kind / digest[:2] / f"{Path(digest).name}.json"

    @contextlib.contextmanager
    def lock_action(self, action_digest: str) -> Iterator[None]:
        """Lock an action, so that two runs build it once; the second run waits and finds it sealed."""
        path = self.lock_path(action_digest)
        self.open(path, "ab").close()
        with file_lock(path):
            yield

    def is_locked(self, action_digest: str) -> bool:
        """Return whether another process has locked an action."""
        with self.open(self.lock_path(action_digest), "ab+") as file:
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
        lines = []
        with contextlib.suppress(FileNotFoundError, NotAPlainFile):
            for line in read_plain(self.root / "journal.jsonl").splitlines():
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


def signature_key(digest: str) -> str:
    """Return the path of the signatures of an action's entry relative to the root of any store, local or remote."""
    return f"signatures/{digest[:2]}/{digest}.json"


def object_mode(entry: Entry) -> int:
    """Return the permissions of an object: nobody may write it."""
    return 0o555 if entry.executable else 0o444
