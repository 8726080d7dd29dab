"""Named runs: a set of results kept under a human name, over the same store.

People need names: «before», «lr-3e-4», «report-2026-11». A named run is a folder ``runs/<name>/`` with the artifacts
and their manifests as they lay in ``results/`` (hard links into the store, so that it costs no space), and a
``run.json`` that says which action made each. The garbage collector keeps what a named run names.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from tapeout.graph.errors import GraphError
from tapeout.graph.identity.digest import canonical, write_atomically
from tapeout.graph.identity.manifest import Manifest, vouch
from tapeout.graph.store.action_index import inputs
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


class PinnedRun(GraphError):
    """A pinned run is to be removed."""


def realised(results: Path) -> Iterator[str]:
    """Names of the artifacts that have a manifest below ``results`` (or below a named run's folder), sorted."""
    paths = (path.relative_to(results).as_posix() for path in results.rglob(f"*{MANIFEST}"))
    names = sorted(path.removesuffix(MANIFEST) for path in paths)
    known = set(names)
    for name in names:  # what is called like a manifest inside an artifact is one of its files
        if known.isdisjoint(str(folder) for folder in PurePosixPath(name).parents):
            yield name


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
        with workspace.store.in_use():
            workspace.root.register()
            workspace.root.add(artifacts.values())
            shutil.rmtree(new, ignore_errors=True)
            for manifest in manifests:
                workspace.store.link(manifest, new / manifest.artifact, new / ".scratch")
                write_atomically(new / f"{manifest.artifact}{MANIFEST}", manifest.encode())
            write_atomically(new / RUN, canonical(asdict(run)) + b"\n")
            new.rename(workspace.runs / name)
    else:
        write_atomically(workspace.runs / name / RUN, canonical(asdict(run)) + b"\n")
    return run


def pin(workspace: Workspace, name: str, pinned: bool) -> NamedRun:
    """Pin a named run, or let go of it: a pinned one is removed by nobody, whatever the collector is asked.

    Raises:
        UnknownRun: there is none of that name.
    """
    run = replace(read(workspace, name), pinned=pinned)
    write_atomically(workspace.runs / name / RUN, canonical(asdict(run)) + b"\n")
    return run


def remove(workspace: Workspace, name: str) -> None:
    """Remove a named run; its files stay in the store until they are collected.

    Raises:
        UnknownRun: there is none of that name.
        PinnedRun: it is pinned.
    """
    if read(workspace, name).pinned:
        raise PinnedRun(f"Run {name} is pinned.", f"Let go of it first: tapeout runs --unpin {name}")
    discard(workspace.runs / name)


@dataclass(frozen=True)
class Summary:
    """A named run as a listing shows it.

    Attributes:
        run: the run.
        size: bytes of its files.
        own_size: bytes that removing it would let the collector free, as far as this folder knows.
        ends: digests of the artifacts that no other artifact of the run reads: the report.
        differing: artifacts that are not in ``results/`` with the same bytes, sorted.
    """

    run: NamedRun
    size: int
    own_size: int
    ends: dict[str, str]
    differing: tuple[str, ...]


def summaries(workspace: Workspace) -> list[Summary]:
    """All named runs, the newest first, compared with each other and with ``results/``."""
    now = manifests(workspace)
    found = {run.name: (run, manifests(view(workspace, run.name))) for run in named(workspace)}
    users = Counter(key for _, kept in found.values() for key in _files(kept))
    return [
        Summary(
            run,
            sum(_files(kept).values()),
            sum(size for key, size in _files(kept).items() if users[key] == 1 and key not in _files(now)),
            {name: kept[name].digest() for name in _ends(workspace, kept)},
            tuple(name for name in kept if name not in now or now[name].digest() != kept[name].digest()),
        )
        for run, kept in found.values()
    ]


def view(workspace: Workspace, name: str) -> Workspace:
    """A named run as if it lay in ``results/``; for reading."""
    return replace(workspace, results=workspace.runs / name)


def manifests(workspace: Workspace) -> dict[str, Manifest]:
    """All sound manifests in ``results/``, by artifact."""
    found = {name: workspace.manifest(name) for name in realised(workspace.results)}
    return {name: manifest for name, manifest in found.items() if manifest is not None}


def _files(kept: dict[str, Manifest]) -> dict[tuple[str, bool], int]:
    """Size of each distinct file of some artifacts."""
    return {(e.digest, e.executable): e.size for manifest in kept.values() for e in manifest.entries}


def _ends(workspace: Workspace, kept: dict[str, Manifest]) -> list[str]:
    entries = [workspace.store.read_entry(manifest.action) for manifest in kept.values()]
    read = {item["artifact"] for entry in entries if entry is not None for item in inputs(entry["action"])}
    return [name for name in kept if name not in read]


def discard(folder: Path) -> None:
    """Remove a run's folder, so that it is never seen half removed."""
    going = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(going, ignore_errors=True)
    folder.rename(going)
    shutil.rmtree(going)


def _sealed(workspace: Workspace, artifact: str) -> Manifest:
    manifest = workspace.manifest(artifact)
    if manifest is None or not vouch(workspace.artifact_path(artifact), manifest):
        raise NothingToName(f"Artifact {artifact} is not what its manifest says.", "Run: tapeout verify --repair")
    if workspace.store.find(manifest.action) is None or not workspace.store.whole(manifest):
        raise NothingToName(f"Artifact {artifact} is not in the store.", "Run: tapeout verify --repair")
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
    found = [_read(workspace, path.parent.name) for path in workspace.runs.glob(f"[!.]*/{RUN}")]
    return sorted((run for run in found if run is not None), key=lambda run: (run.named, run.name), reverse=True)


def _read(workspace: Workspace, name: str) -> NamedRun | None:
    try:
        return NamedRun(**json.loads((workspace.runs / name / RUN).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
