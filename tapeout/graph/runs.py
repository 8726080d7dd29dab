"""Named runs: a set of results kept under a human name, over the same store.

People need names: «before», «lr-3e-4», «report-2026-11». A named run is a folder ``runs/<name>/`` with the artifacts
and their manifests as they lay in ``results/`` (hard links into the store, so that it costs no space), and a
``run.json`` that says which action made each. The garbage collector keeps what a named run names.
"""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tapeout.graph.digest import canonical, write_atomically
from tapeout.graph.errors import GraphError
from tapeout.graph.manifest import Manifest, vouch
from tapeout.graph.workspace import Workspace

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MANIFEST = ".manifest.json"
RUN = "run.json"


class UnknownRun(GraphError):
    """No run has that name."""


class RunNameTaken(GraphError):
    """Another set of results has that name already."""


class UnfitRunName(GraphError):
    """A name that is no folder's name everywhere."""


class NothingToName(GraphError):
    """There are no results, or not all of them are what their manifests say."""


@dataclass(frozen=True)
class NamedRun:
    """``artifacts`` holds the action digest by artifact name; ``named`` is a UTC time in ISO form."""

    name: str
    named: str
    pinned: bool
    artifacts: dict[str, str]


def realised(results: Path) -> Iterator[str]:
    """Names of the artifacts that have a manifest below ``results`` (or below a named run's folder), sorted."""
    names = (path.relative_to(results).as_posix().removesuffix(MANIFEST) for path in results.rglob(f"*{MANIFEST}"))
    return iter(sorted(names))


def save(workspace: Workspace, name: str, pinned: bool) -> NamedRun:
    """Keep what lies in ``results/`` under a name; the same results may be named again, other ones may not.

    Raises:
        UnfitRunName: the name is not made of letters, digits, dots, dashes and underscores.
        NothingToName: there are no results, or one of them was edited or has left the store.
        RunNameTaken: the name stands for other results.
    """
    if not NAME.fullmatch(name):
        raise UnfitRunName(f"{name!r} cannot name a run.", "Use letters, digits, dots, dashes and underscores.")
    manifests = [_sealed(workspace, artifact) for artifact in realised(workspace.results)]
    if not manifests:
        raise NothingToName("There are no results to name.", "Run: snakemake eval_report")
    artifacts = {manifest.artifact: manifest.action for manifest in manifests}
    before = _read(workspace, name)
    if before is not None and before.artifacts != artifacts:
        raise RunNameTaken(f"The name {name} stands for other results.", f"Use another name, or remove runs/{name}.")
    run = NamedRun(name, before.named if before else datetime.now(UTC).isoformat(timespec="seconds"), pinned, artifacts)
    if before is None:
        new = workspace.runs / f".{name}.new"
        shutil.rmtree(new, ignore_errors=True)
        for manifest in manifests:
            workspace.store.link(manifest, new / manifest.artifact, new / ".scratch")
            write_atomically(new / f"{manifest.artifact}{MANIFEST}", manifest.encode())
        write_atomically(new / RUN, canonical(asdict(run)) + b"\n")
        new.rename(workspace.runs / name)
    else:
        write_atomically(workspace.runs / name / RUN, canonical(asdict(run)) + b"\n")
    return run


def _sealed(workspace: Workspace, artifact: str) -> Manifest:
    manifest = workspace.manifest(artifact)
    sound = manifest is not None and vouch(workspace.artifact_path(artifact), manifest)
    if manifest is None or not sound or workspace.store.find(manifest.action) is None:
        raise NothingToName(f"Artifact {artifact} is not what its manifest says, or is not in the store.", "Run again.")
    return manifest


def read(workspace: Workspace, name: str) -> NamedRun:
    """A named run.

    Raises:
        UnknownRun: there is none of that name.
    """
    run = _read(workspace, name) if NAME.fullmatch(name) else None
    if run is None:
        known = ", ".join(found.name for found in named(workspace)) or "none yet; make one with: tapeout run-name NAME"
        raise UnknownRun(f"There is no run {name}.", f"Known runs: {known}.")
    return run


def named(workspace: Workspace) -> list[NamedRun]:
    """All named runs, the newest first."""
    found = [_read(workspace, path.parent.name) for path in workspace.runs.glob(f"*/{RUN}")]
    return sorted((run for run in found if run is not None), key=lambda run: (run.named, run.name), reverse=True)


def _read(workspace: Workspace, name: str) -> NamedRun | None:
    try:
        return NamedRun(**json.loads((workspace.runs / name / RUN).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
