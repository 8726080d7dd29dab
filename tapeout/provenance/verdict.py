"""Verdict of a reproduction: the level that every rebuilt artifact reaches, compared with the exported one."""

import contextlib
import tempfile
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tapeout.compare.artifacts import compare
from tapeout.compare.file_comparison import Level, worst
from tapeout.config.comparison import Bounds
from tapeout.errors import TapeoutError
from tapeout.graph.address import LocatedArtifact
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.plan.explain import Change
from tapeout.graph.plan.explain import compare as compare_actions
from tapeout.graph.workspace import Workspace
from tapeout.provenance.document import ARTIFACTS, Document
from tapeout.provenance.errors import ReproductionFailed
from tapeout.provenance.isolation import CODE
from tapeout.provenance.rebuild import workspace


class Verdict(StrEnum):
    """Result of a reproduction, from the level that all artifacts reach."""

    IDENTICAL = "identical"
    VALUES = "equal in values"
    BOUNDS = "equal within the stated bounds"
    DIFFERENT = "different"


VERDICTS = {
    Level.BYTES: Verdict.IDENTICAL,
    Level.VALUES: Verdict.VALUES,
    Level.METRICS: Verdict.BOUNDS,
    Level.NONE: Verdict.DIFFERENT,
}


@dataclass(frozen=True)
class Difference:
    """A file that differs, with the difference in a few words."""

    path: str
    level: Level
    reason: str


@dataclass(frozen=True)
class Row:
    """One artifact, exported and rebuilt.

    Attributes:
        exported, rebuilt: digests.
        size, files: bytes and number of files of the rebuilt artifact.
        carried: the export has its files; without them only equal bytes can be detected.
        same_action: code, parameters, environment and inputs of the step are the same.
    """

    artifact: str
    level: Level
    exported: str
    rebuilt: str
    size: int
    files: int
    carried: bool
    same_action: bool
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Judgement:
    """All artifacts in dependency order, and the reason for the first difference."""

    rows: tuple[Row, ...]
    why: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict for the level that all artifacts reach."""
        return VERDICTS[worst(row.level for row in self.rows)]

    @property
    def first(self) -> Row | None:
        """The first artifact that is not identical."""
        return next((row for row in self.rows if row.level is not Level.BYTES), None)

    def as_json(self) -> dict[str, Any]:
        """Return JSON values."""
        first = self.first.artifact if self.first else None
        rows = [asdict(row) for row in self.rows]
        return {"verdict": self.verdict, "first_difference": first, "why": list(self.why), "artifacts": rows}


def judge(document: Document, export: Path, folder: Path, bounds: Bounds) -> Judgement:
    """Compare the artifacts that were built in ``folder`` with an export.

    The graph was run in ``folder``, which has its environments.

    Raises:
        ReproductionFailed: an artifact was not built.
    """
    folder = folder.absolute()
    rebuilt = workspace(folder)
    rows = []
    for name, old in document.manifests.items():
        manifest = rebuilt.manifest(name)
        if manifest is None or not rebuilt.artifact_path(name).exists():
            raise ReproductionFailed(f"{name} was not built.", "Read the messages of the run.")
        # read the bytes: the manifest was written by the code of the export
        new = Manifest.of(rebuilt.artifact_path(name), name, manifest.action)
        differences: list[Difference] = []
        if old.digest() != new.digest():
            carried = export.absolute() / ARTIFACTS / name if name in document.carried else None
            differences = _compare(old, new, carried, folder, bounds) if carried else _compare_digests(old, new)
        rows.append(
            Row(
                artifact=name,
                level=Level.BYTES if old.digest() == new.digest() else worst(file.level for file in differences),
                exported=old.digest(),
                rebuilt=new.digest(),
                size=new.size,
                files=len(new.entries),
                carried=name in document.carried,
                same_action=old.action == new.action,
                differences=tuple(differences),
            )
        )
    judgement = Judgement(tuple(rows), ())
    return Judgement(judgement.rows, tuple(_why(document, judgement.first, rebuilt)) if judgement.first else ())


def _compare(old: Manifest, new: Manifest, carried: Path, folder: Path, bounds: Bounds) -> list[Difference]:
    """Compare the files of an artifact by their content."""
    rebuilt = workspace(folder)
    artifacts = (
        LocatedArtifact(old.artifact, old, carried, rebuilt.store),
        LocatedArtifact(new.artifact, new, rebuilt.artifact_path(new.artifact), rebuilt.store),
    )
    try:
        # in this project, whose environment reads tensors: those of the export are code of others
        with tempfile.TemporaryDirectory(dir=folder) as scratch, contextlib.chdir(CODE):
            comparison = compare(*artifacts, bounds, Path(scratch))
    except TapeoutError as error:
        return [Difference("", Level.NONE, f"other bytes, which cannot be compared: {error.cause}")]
    return [Difference(file.path, file.level, file.reason) for file in comparison.files]


def _compare_digests(old: Manifest, new: Manifest) -> list[Difference]:
    """Compare the files of an artifact by their digests, without the exported files."""
    left, right = ({entry.path: entry for entry in manifest.entries} for manifest in (old, new))
    paths = [path for path in sorted(left.keys() | right.keys()) if left.get(path) != right.get(path)]
    return [Difference(path, Level.NONE, _reason(path in left, path in right)) for path in paths]


def _reason(in_old: bool, in_new: bool) -> str:
    if in_old and in_new:
        return "other bytes; the old ones are not in the export"
    return "missing" if in_old else "new"


def _why(document: Document, row: Row, rebuilt: Workspace) -> list[str]:
    """Return what differs in the step of the first artifact that differs, or that nothing does."""
    manifest = rebuilt.manifest(row.artifact)
    entry = rebuilt.store.read_entry(manifest.action) if manifest is not None else None
    new = entry["action"] if entry is not None else {}
    old = document.actions[document.manifests[row.artifact].action]
    changes = compare_actions(old, new, rebuilt.store) if new else []
    if changes:
        return [_sentence(change) for change in changes]
    return [
        "The step has the same code, parameters, environment and inputs: its output depends on the machine, or its "
        "program is not deterministic."
    ]


def _sentence(change: Change) -> str:
    return f"{change.kind} {change.name}: {_short(change.old)} in the export, {_short(change.new)} here"


def _short(value: Any) -> str:
    text = str(value) if value is not None else "none"
    return text[:16] if len(text) == 64 else text
