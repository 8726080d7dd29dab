"""The verdict: what was rebuilt against what was exported, artifact by artifact, each at the level it reaches."""

import contextlib
import tempfile
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tapeout.compare.file_comparison import Level, worst
from tapeout.compare.levels import compare
from tapeout.config.comparison import Bounds
from tapeout.errors import TapeoutError
from tapeout.graph.address import LocatedArtifact
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.plan.explain import Change
from tapeout.graph.plan.explain import compare as compare_actions
from tapeout.graph.workspace import Workspace
from tapeout.provenance.document import ARTIFACTS, Document
from tapeout.provenance.rebuild import RebuildFailed, workspace


class Verdict(StrEnum):
    """What can be said of the whole: the level that all artifacts reach."""

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
    """A file that differs, and in a few words how."""

    path: str
    level: Level
    reason: str


@dataclass(frozen=True)
class Row:
    """One artifact: as it was exported, as it was rebuilt.

    ``carried`` says whether the export has its files; without them only equal bytes can be shown. ``same_action`` says
    whether the step was the same in code, parameters, environment and inputs.
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
    """All rows in dependency order, and why the first that is not identical is not."""

    rows: tuple[Row, ...]
    why: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The level that all artifacts reach."""
        return VERDICTS[worst(row.level for row in self.rows)]

    @property
    def first(self) -> Row | None:
        """The first artifact that is not identical."""
        return next((row for row in self.rows if row.level is not Level.BYTES), None)

    def as_json(self) -> dict[str, Any]:
        """JSON values."""
        first = self.first.artifact if self.first else None
        rows = [asdict(row) for row in self.rows]
        return {"verdict": self.verdict, "first_difference": first, "why": list(self.why), "artifacts": rows}


def judge(document: Document, export: Path, folder: Path, bounds: Bounds) -> Judgement:
    """Compare what was built in ``folder`` with an export.

    Args:
        document: of the export.
        export: the folder of the export, for the artifacts whose files go along.
        folder: where its graph was run, with its environments.
        bounds: what counts as equal at the level «metrics».

    Raises:
        RebuildFailed: an artifact was not built.
    """
    folder = folder.absolute()
    there = workspace(folder)
    rows = []
    for name, old in document.manifests.items():
        said = there.manifest(name)
        if said is None or not there.artifact_path(name).exists():
            raise RebuildFailed(f"{name} was not built.", "Read the messages of the run.")
        new = Manifest.of(
            there.artifact_path(name), name, said.action
        )  # the run was one of the export's code: read the bytes
        found: list[Difference] = []
        if old.digest() != new.digest():
            carried = export.absolute() / ARTIFACTS / name if name in document.carried else None
            found = _compared(old, new, carried, folder, bounds) if carried else _listed(old, new)
        rows.append(
            Row(
                artifact=name,
                level=Level.BYTES if old.digest() == new.digest() else worst(each.level for each in found),
                exported=old.digest(),
                rebuilt=new.digest(),
                size=new.size,
                files=len(new.entries),
                carried=name in document.carried,
                same_action=old.action == new.action,
                differences=tuple(found),
            )
        )
    judgement = Judgement(tuple(rows), ())
    return Judgement(judgement.rows, tuple(_why(document, judgement.first, there)) if judgement.first else ())


def _compared(old: Manifest, new: Manifest, carried: Path, folder: Path, bounds: Bounds) -> list[Difference]:
    """The files of an artifact that differ, compared by what they hold."""
    there = workspace(folder)
    places = (
        LocatedArtifact(old.artifact, old, carried, there.store),
        LocatedArtifact(new.artifact, new, there.artifact_path(new.artifact), there.store),
    )
    try:
        # the environment that reads tensors is the folder's
        with tempfile.TemporaryDirectory(dir=folder) as scratch, contextlib.chdir(folder):
            compared = compare(*places, bounds, Path(scratch))
    except TapeoutError as error:
        return [Difference("", Level.NONE, f"other bytes, which cannot be compared: {error.cause}")]
    return [Difference(file.path, file.level, file.reason) for file in compared.files]


def _listed(old: Manifest, new: Manifest) -> list[Difference]:
    """The files that differ, by their digests alone."""
    left, right = ({entry.path: entry for entry in manifest.entries} for manifest in (old, new))
    paths = [path for path in sorted(left.keys() | right.keys()) if left.get(path) != right.get(path)]
    return [Difference(path, Level.NONE, _words(path in left, path in right)) for path in paths]


def _words(was: bool, there_is: bool) -> str:
    if was and there_is:
        return "other bytes; the old ones are not in the export"
    return "missing" if was else "new"


def _why(document: Document, row: Row, there: Workspace) -> list[str]:
    """Why the first artifact that differs does so: what differs in its step, or that nothing does."""
    manifest = there.manifest(row.artifact)
    entry = there.store.read_entry(manifest.action) if manifest is not None else None
    new = entry["action"] if entry is not None else {}
    old = document.actions[document.manifests[row.artifact].action]
    changes = compare_actions(old, new, there.store) if new else []
    if changes:
        return [_sentence(change) for change in changes]
    return [
        "The step has the same code, parameters and environment, and every byte that it reads is the same: it does not "
        "write the same bytes on this machine, or not every time."
    ]


def _sentence(change: Change) -> str:
    return f"{change.kind} {change.name}: {_short(change.old)} in the export, {_short(change.new)} here"


def _short(value: Any) -> str:
    text = str(value) if value is not None else "none"
    return text[:16] if len(text) == 64 else text
