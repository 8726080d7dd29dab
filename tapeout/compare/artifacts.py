"""Comparison of two artifacts: one level for the whole, and the reason for every file that differs.

``tapeout diff``, ``tapeout rebuild --check`` and ``tapeout reproduce`` use it.
"""

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tapeout.compare.archives import Unpacking, archive_suffix
from tapeout.compare.file_comparison import Detail, FileComparison, Level, Unreadable, counted, worst
from tapeout.compare.rows import compare_rows
from tapeout.compare.text import compare_bytes, compare_page, compare_text
from tapeout.compare.tokenizers import compare_model, compare_tokenizer, is_tokenizer
from tapeout.compare.values import compare_values, parse
from tapeout.compare.weights import compare_weights
from tapeout.config.comparison import Bounds
from tapeout.graph.address import LocatedArtifact
from tapeout.graph.identity.manifest import Manifest

LIMIT = 20
"""Maximum number of differences that are kept per file."""

WEIGHTS = (".safetensors", ".pt", ".pth", ".ckpt")
ROWS = (".jsonl", ".ndjson")
PAGES = {".html": True, ".htm": True, ".md": False, ".csv": False}
"""Suffixes of files that show the numbers of a JSON file beside them, and whether they have markup."""
NUMBER = re.compile(r"\.\d+$")
"""Suffix of the name of a second copy (``graph.store.unused``)."""


@dataclass(frozen=True)
class FileDifference:
    """A file whose bytes differ.

    Attributes:
        path: relative to the artifact; empty if the artifact is a single file. A distributed checkpoint counts as one
            file, under the path of its folder.
        kind: what the file was compared as.
        old, new: digests; None where the file does not exist.
        level, reason, detail: see ``FileComparison``.
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
    """The level that all files reach, the files that differ by path, and the number of equal files."""

    kind = "members"

    level: Level
    same: int
    files: tuple[FileDifference, ...]


def compare(
    old: LocatedArtifact, new: LocatedArtifact, bounds: Bounds, scratch: Path, limit: int | None = LIMIT
) -> Comparison:
    """Compare two artifacts, file by file, each by its kind.

    ``scratch`` is a folder for unpacked files, which the caller deletes. ``limit`` bounds the differences that are
    kept of a file; levels and counts do not depend on it.

    Raises:
        InvalidEnvironment: files with tensors differ and the environment that reads them is not installed.
        StepFailed: the program that compares tensors failed.
    """
    unpacking = Unpacking(old.manifest.size + new.manifest.size)
    return _Comparer(old, new, bounds, scratch, limit, unpacking).comparison()


class _Comparer:
    """One comparison of two artifacts."""

    def __init__(
        self,
        old: LocatedArtifact,
        new: LocatedArtifact,
        bounds: Bounds,
        scratch: Path,
        limit: int | None,
        unpacking: Unpacking,
    ) -> None:
        self.artifacts, self.bounds, self.scratch, self.limit = (old, new), bounds, scratch, limit
        self.unpacking = unpacking
        self.entries = tuple({entry.path: entry for entry in artifact.manifest.entries} for artifact in self.artifacts)
        self.differences: dict[str, FileDifference] = {}
        self.checkpoints: list[str] = []  # folders of distributed checkpoints, which are compared as one file
        self.damaged: dict[str, str] = {}  # and of those that cannot be read, with the reason

    def comparison(self) -> Comparison:
        """Compare all files; pages last, because their level depends on the JSON file of the same name."""
        for folder in self._common_checkpoints():
            self._checkpoint(folder)
        all_paths = self.entries[0].keys() | self.entries[1].keys()
        paths = [path for path in all_paths if _checkpoint_of(path) not in self.checkpoints]
        for path in sorted(paths, key=lambda path: (self._suffix(path) in PAGES, path)):
            self._file(path)
        files = tuple(self.differences[path] for path in sorted(self.differences))
        equal = len(self.checkpoints) + len(paths) - len(files)
        return Comparison(worst(file.level for file in files), equal, files)

    def _add(self, path: str, old: str | None, new: str | None, result: FileComparison) -> None:
        kind = result.detail.kind if result.detail is not None else "file"
        self.differences[path] = FileDifference(path, kind, old, new, result.level, result.reason, result.detail)

    # -- distributed checkpoints -----------------------------------------------------------------------------------

    def _common_checkpoints(self) -> list[str]:
        """Return the folders in which both artifacts have a distributed checkpoint."""
        indices = [{path for path in entries if PurePosixPath(path).name == ".metadata"} for entries in self.entries]
        return sorted(path.removesuffix(".metadata").removesuffix("/") for path in indices[0] & indices[1])

    def _checkpoint(self, folder: str) -> None:
        """Compare a checkpoint as one file; if it cannot be read, its files are compared one by one later."""
        self.checkpoints.append(folder)
        parts = [
            {path: (file.digest, file.executable) for path, file in entries.items() if _checkpoint_of(path) == folder}
            for entries in self.entries
        ]
        if parts[0] == parts[1]:
            return
        old, new = (artifact.folder(self._new_folder()) / folder for artifact in self.artifacts)
        before, after = (artifact.manifest.digest(folder) for artifact in self.artifacts)
        try:
            result = compare_weights(old, new, self.bounds, self.limit)
        except Unreadable as error:
            self.checkpoints.remove(folder)
            self.damaged[folder] = error.cause.removesuffix(".")
        else:
            self._add(folder, before, after, result)

    # -- single files ----------------------------------------------------------------------------------------------

    def _file(self, path: str) -> None:
        old, new = (entries.get(path) for entries in self.entries)
        if old is None or new is None:
            word = "added" if old is None else "removed"
            before, after = old.digest if old else None, new.digest if new else None
            self._add(path, before, after, FileComparison(Level.NONE, word))
        elif old.digest != new.digest:
            files = self.artifacts[0].file(old), self.artifacts[1].file(new)
            try:
                if (folder := _checkpoint_of(path)) in self.damaged:
                    result = compare_bytes(*files, self.damaged[folder])
                else:
                    result = self._comparison_of(path)(*files)
            except Unreadable as error:
                result = compare_text(*files, self.limit, error.cause.removesuffix("."))
            self._add(path, old.digest, new.digest, result)
        elif old.executable != new.executable:
            word = "now executable" if new.executable else "no longer executable"
            self._add(path, old.digest, new.digest, FileComparison(Level.VALUES, word))

    def _suffix(self, path: str) -> str:
        """Return the suffix of a file, or of an artifact that is one file; empty if the two artifacts disagree."""
        names = {PurePosixPath(path or artifact.manifest.artifact).name.lower() for artifact in self.artifacts}
        names = {NUMBER.sub("", name) for name in names}
        suffixes = {archive_suffix(name) or PurePosixPath(name).suffix for name in names}
        return suffixes.pop() if len(suffixes) == 1 else ""

    def _comparison_of(self, path: str) -> Callable[[Path, Path], FileComparison]:
        """Return the comparison for the kind of file, by its name."""
        suffix, bounds, limit = self._suffix(path), self.bounds, self.limit
        if suffix == ".json":
            return self._json
        if suffix in ROWS:
            return lambda old, new: compare_rows(old, new, bounds, limit)
        if suffix == ".model":
            return lambda old, new: compare_model(old, new, limit)
        if suffix in WEIGHTS:
            link = self._with_suffix
            return lambda old, new: compare_weights(link(old, suffix), link(new, suffix), bounds, limit)
        if suffix in PAGES:
            json_level = self._json_level(path)
            return lambda old, new: compare_page(old, new, json_level, limit, PAGES[suffix])
        if archive_suffix(suffix):
            return self._archive
        return lambda old, new: compare_text(old, new, limit)

    def _json(self, old: Path, new: Path) -> FileComparison:
        before, after = parse(old.read_bytes(), "the old file"), parse(new.read_bytes(), "the new file")
        if is_tokenizer(before) and is_tokenizer(after):
            return compare_tokenizer(before, after, self.limit)
        return compare_values(before, after, self.bounds, self.limit)

    def _json_level(self, page: str) -> Level | None:
        """Return the level of the JSON file with the numbers of a page, or None if there is no such file.

        It has the name of the page, or is the ``report.json`` beside it.
        """
        own = PurePosixPath(page or "none")
        for path in map(str, (own.with_suffix(".json"), own.with_name("report.json"))):
            if page and all(path in entries for entries in self.entries):
                return self.differences[path].level if path in self.differences else Level.BYTES
        return None

    def _archive(self, old: Path, new: Path) -> FileComparison:
        with self.unpacking.inside():
            before = self._unpacked(self.artifacts[0], old, "the old file")
            after = self._unpacked(self.artifacts[1], new, "the new file")
            inner = _Comparer(before, after, self.bounds, self.scratch, self.limit, self.unpacking).comparison()
        if inner.level is Level.BYTES:
            return FileComparison(Level.VALUES, "the same members, packed differently")
        words = counted((len(inner.files), "member~ different"), (inner.same, "member~ the same"))
        return FileComparison(inner.level, words, inner)

    def _unpacked(self, artifact: LocatedArtifact, archive: Path, what: str) -> LocatedArtifact:
        folder = self._new_folder()
        self.unpacking.unpack(archive, folder, what)
        return LocatedArtifact(
            artifact.address, Manifest.of(folder, artifact.manifest.artifact, ""), folder, artifact.store
        )

    def _with_suffix(self, file: Path, suffix: str) -> Path:
        """Return a link to the file with its suffix, which an object of the store does not have."""
        if file.suffix.lower() == suffix:
            return file
        link = self._new_folder() / f"file{suffix}"
        link.symlink_to(file.absolute())
        return link

    def _new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.scratch))


def _checkpoint_of(path: str) -> str | None:
    """Return the folder of the distributed checkpoint that a file would belong to; None for any other file."""
    file = PurePosixPath(path)
    if file.name != ".metadata" and file.suffix != ".distcp":
        return None
    return "" if str(file.parent) == "." else str(file.parent)
