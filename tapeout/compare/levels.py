"""How much of two artifacts is the same: one level for the whole, and for each file that differs the reason.

``compare`` is what ``tapeout diff``, ``tapeout rebuild --check`` and ``tapeout reproduce`` share.
"""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tapeout.compare.archives import archive_suffix, unpack
from tapeout.compare.file_comparison import Detail, Found, Level, Unreadable, counted, worst
from tapeout.compare.pieces import compare_model, compare_tokenizer, is_tokenizer
from tapeout.compare.rows import compare_rows
from tapeout.compare.text import compare_bytes, compare_page, compare_text
from tapeout.compare.values import compare_values, parse
from tapeout.compare.weights import compare_weights
from tapeout.config.comparison import Bounds
from tapeout.graph.address import LocatedArtifact
from tapeout.graph.identity.manifest import Manifest

__all__ = ["Comparison", "FileDifference", "Level", "compare"]

LIMIT = 20
"""Differences that are kept of each file."""

WEIGHTS = (".safetensors", ".pt", ".pth", ".ckpt")
ROWS = (".jsonl", ".ndjson")
PAGES = (".html", ".htm")
NUMBER = re.compile(r"\.\d+$")
"""What is put behind the name of a copy that is kept (``graph.store.unused``)."""


@dataclass(frozen=True)
class FileDifference:
    """A file that is not byte for byte the same.

    ``path`` is relative to the artifact, empty for one that is a single file; a distributed checkpoint counts as one
    file, under the path of its folder. ``old`` or ``new`` is None where the file does not exist. ``kind`` says what
    the file was compared as, ``reason`` in a few words what differs, ``detail`` what exactly.
    """

    path: str
    kind: str
    old: str | None
    new: str | None
    level: Level
    reason: str
    detail: Detail | None = None


@dataclass(frozen=True)
class Comparison(Detail):
    """The level that all files reach, the files that differ by path, and how many are the same."""

    kind = "members"

    level: Level
    same: int
    files: tuple[FileDifference, ...]


def compare(
    old: LocatedArtifact, new: LocatedArtifact, bounds: Bounds, scratch: Path, limit: int | None = LIMIT
) -> Comparison:
    """Compare two artifacts, file by file, each by its kind.

    Args:
        old, new: the artifacts (``graph.address.find``).
        bounds: what counts as equal at the level «metrics».
        scratch: an existing folder for what must be unpacked; the caller removes it. On the store's file system it
            costs the least.
        limit: differences to keep of each file; None keeps all. Levels and counts do not depend on it.

    Raises:
        InvalidEnvironment: files with tensors differ and the environment that can read them is not installed.
        ComparisonFailed: the program that compares tensors came to a bad end.
    """
    return _Artifacts(old, new, bounds, scratch, limit).comparison()


class _Artifacts:
    """Two artifacts under comparison."""

    def __init__(
        self, old: LocatedArtifact, new: LocatedArtifact, bounds: Bounds, scratch: Path, limit: int | None
    ) -> None:
        self.places, self.bounds, self.scratch, self.limit = (old, new), bounds, scratch, limit
        self.entries = tuple({entry.path: entry for entry in place.manifest.entries} for place in self.places)
        self.found: dict[str, FileDifference] = {}
        self.whole: list[str] = []  # folders of distributed checkpoints, which are compared as one file
        self.damaged: dict[str, str] = {}  # and of those that cannot be read, with the reason

    def comparison(self) -> Comparison:
        """Compare all files; pages last, because they are judged with the JSON beside them."""
        for folder in self._checkpoints():
            self._checkpoint(folder)
        paths = [
            path for path in self.entries[0].keys() | self.entries[1].keys() if _checkpoint_of(path) not in self.whole
        ]
        for path in sorted(paths, key=lambda path: (self._suffix(path) in PAGES, path)):
            self._file(path)
        files = tuple(self.found[path] for path in sorted(self.found))
        return Comparison(worst(file.level for file in files), len(self.whole) + len(paths) - len(files), files)

    def _note(self, path: str, old: str | None, new: str | None, found: Found) -> None:
        kind = found.detail.kind if found.detail is not None else "file"
        self.found[path] = FileDifference(path, kind, old, new, found.level, found.reason, found.detail)

    # -- distributed checkpoints -----------------------------------------------------------------------------------

    def _checkpoints(self) -> list[str]:
        """Folders in which both artifacts have a distributed checkpoint."""
        indices = [{path for path in entries if PurePosixPath(path).name == ".metadata"} for entries in self.entries]
        return sorted(path.removesuffix(".metadata").removesuffix("/") for path in indices[0] & indices[1])

    def _checkpoint(self, folder: str) -> None:
        """Compare a checkpoint as one; if it cannot be read, its files are compared one by one."""
        self.whole.append(folder)
        parts = [
            {path: (each.digest, each.executable) for path, each in entries.items() if _checkpoint_of(path) == folder}
            for entries in self.entries
        ]
        if parts[0] == parts[1]:
            return
        old, new = (place.folder(self._new_folder()) / folder for place in self.places)
        before, after = (place.manifest.digest(folder) for place in self.places)
        try:
            found = compare_weights(old, new, self.bounds, self.limit)
        except Unreadable as error:
            self.whole.remove(folder)
            self.damaged[folder] = error.cause.removesuffix(".")
        else:
            self._note(folder, before, after, found)

    # -- single files ----------------------------------------------------------------------------------------------

    def _file(self, path: str) -> None:
        old, new = (entries.get(path) for entries in self.entries)
        if old is None or new is None:
            word = "added" if old is None else "removed"
            before, after = old.digest if old else None, new.digest if new else None
            self._note(path, before, after, Found(Level.NONE, word))
        elif old.digest != new.digest:
            files = self.places[0].file(old), self.places[1].file(new)
            try:
                if (folder := _checkpoint_of(path)) in self.damaged:
                    found = compare_bytes(*files, self.damaged[folder])
                else:
                    found = self._compared(path)(*files)
            except Unreadable as error:
                found = compare_text(*files, self.limit, error.cause.removesuffix("."))
            self._note(path, old.digest, new.digest, found)
        elif old.executable != new.executable:
            word = "now executable" if new.executable else "no longer executable"
            self._note(path, old.digest, new.digest, Found(Level.VALUES, word))

    def _suffix(self, path: str) -> str:
        """Suffix of a file's name, or of the artifact's if it is one file; none if the two artifacts disagree."""
        names = {PurePosixPath(path or place.manifest.artifact).name.lower() for place in self.places}
        names = {NUMBER.sub("", name) for name in names}
        found = {archive_suffix(name) or PurePosixPath(name).suffix for name in names}
        return found.pop() if len(found) == 1 else ""

    def _compared(self, path: str) -> Callable[[Path, Path], Found]:
        """How a file is compared, by its name."""
        suffix, bounds, limit = self._suffix(path), self.bounds, self.limit
        if suffix == ".json":
            return self._json
        if suffix in ROWS:
            return lambda old, new: compare_rows(old, new, bounds, limit)
        if suffix == ".model":
            return lambda old, new: compare_model(old, new, limit)
        if suffix in WEIGHTS:
            named = self._named
            return lambda old, new: compare_weights(named(old, suffix), named(new, suffix), bounds, limit)
        if suffix in PAGES:
            beside = self._beside(path)
            return lambda old, new: compare_page(old, new, beside, limit)
        if archive_suffix(suffix):
            return self._archive
        return lambda old, new: compare_text(old, new, limit)

    def _json(self, old: Path, new: Path) -> Found:
        before, after = parse(old.read_bytes(), "the old file"), parse(new.read_bytes(), "the new file")
        if is_tokenizer(before) and is_tokenizer(after):
            return compare_tokenizer(before, after, self.limit)
        return compare_values(before, after, self.bounds, self.limit)

    def _beside(self, page: str) -> Level | None:
        """The level of the JSON file that has the numbers of a page, if there is one."""
        path = str(PurePosixPath(page).with_suffix(".json")) if page else ""
        if not all(path in entries for entries in self.entries) or not path:
            return None
        return self.found[path].level if path in self.found else Level.BYTES

    def _archive(self, old: Path, new: Path) -> Found:
        before = self._unpacked(self.places[0], old, "the old file")
        after = self._unpacked(self.places[1], new, "the new file")
        inner = compare(before, after, self.bounds, self.scratch, self.limit)
        if inner.level is Level.BYTES:
            return Found(Level.VALUES, "the same members, packed otherwise")
        words = counted((len(inner.files), "member~ different"), (inner.same, "member~ the same"))
        return Found(inner.level, words, inner)

    def _unpacked(self, place: LocatedArtifact, archive: Path, what: str) -> LocatedArtifact:
        folder = self._new_folder()
        unpack(archive, folder, what)
        return LocatedArtifact(place.address, Manifest.of(folder, place.manifest.artifact, ""), folder, place.store)

    def _named(self, file: Path, suffix: str) -> Path:
        """The file under a name with its suffix, which an object of the store has not."""
        if file.suffix.lower() == suffix:
            return file
        link = self._new_folder() / f"file{suffix}"
        link.symlink_to(file.absolute())
        return link

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.scratch))


def _checkpoint_of(path: str) -> str | None:
    """The folder of the distributed checkpoint that a file would be a part of; None for any other file."""
    place = PurePosixPath(path)
    if place.name != ".metadata" and place.suffix != ".distcp":
        return None
    return "" if str(place.parent) == "." else str(place.parent)
