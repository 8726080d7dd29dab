"""Named runs: sets of results that are kept under a name, in the same store.

A named run (``before``, ``lr-3e-4``) is a folder ``runs/<name>/`` with the artifacts and manifests as they were in
``results/`` (hard links into the store, so it needs no extra space) and a ``run.json`` that records the configuration
and the action of each. The garbage collector keeps what a named run refers to.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from tapeout.errors import did_you_mean
from tapeout.graph.configuration import Configuration
from tapeout.graph.deletion import delete
from tapeout.graph.errors import RequestRefused, UnknownName
from tapeout.graph.files import read_json, write_atomically
from tapeout.graph.identity.digest import canonical
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.store.action_index import inputs
from tapeout.graph.workspace import Workspace

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MANIFEST = ".manifest.json"
RUN = "run.json"


@dataclass(frozen=True)
class NamedRun:
    """Content of ``run.json``.

    Attributes:
        name: the run's name.
        named: UTC time in ISO form at which it got the name.
        pinned: whether it is protected from removal.
        artifacts: digest of the action of each artifact, by artifact name.
        configuration: what it was built with; None in a run of an earlier version.
    """

    name: str
    named: str
    pinned: bool
    artifacts: dict[str, str]
    configuration: Configuration | None = None


@dataclass(frozen=True)
class RunSummary:
    """A named run as a listing shows it.

    Attributes:
        run: the run.
        size: bytes of its files.
        own_size: bytes that the collector could free if the run were removed; runs of other folders are not considered.
        ends: digests of the artifacts that no other artifact of the run depends on, by name: the report.
        differing: artifacts that are not in ``results/`` with the same bytes, sorted.
    """

    run: NamedRun
    size: int
    own_size: int
    ends: dict[str, str]
    differing: tuple[str, ...]


def artifact_names(results: Path) -> Iterator[str]:
    """Yield the names of the artifacts that have a manifest below ``results`` (or a named run's folder), sorted."""
    paths = (path.relative_to(results).as_posix() for path in results.rglob(f"*{MANIFEST}"))
    names = sorted(path.removesuffix(MANIFEST) for path in paths)
    known = set(names)
    for name in names:  # a file inside an artifact may be named like a manifest
        if known.isdisjoint(str(folder) for folder in PurePosixPath(name).parents):
            yield name


def save(
    workspace: Workspace,
    name: str,
    pinned: bool,
    graph: Collection[str] | None = None,
    configuration: Configuration | None = None,
) -> NamedRun:
    """Save ``results/`` as a named run; saving the same results again only changes ``pinned``.

    Args:
        workspace: results, named runs and store.
        name: the run's name.
        pinned: whether it is protected from removal.
        graph: artifacts of the configuration's graph, of which those that exist are saved; None for everything.
        configuration: the configuration, for the record.

    Raises:
        RequestRefused: the name is invalid or belongs to other results; or there are no results, or one of them was
            edited or is no longer in the store.
    """
    if not NAME.fullmatch(name):
        raise RequestRefused(f"{name!r} is not a valid run name.", "Use letters, digits, dots, dashes and underscores.")
    names = [artifact for artifact in artifact_names(workspace.results) if graph is None or artifact in graph]
    manifests = [_intact_manifest(workspace, artifact) for artifact in names]
    if not manifests:
        raise RequestRefused("There are no results to save.", "Run: snakemake eval_report")
    artifacts = {manifest.artifact: manifest.action for manifest in manifests}
    existing = _read(workspace, name)
    if existing is not None and existing.artifacts != artifacts:
        raise RequestRefused(f"Run {name} has different results.", f"Choose another name, or remove the run {name}.")
    named = existing.named if existing else datetime.now(UTC).isoformat(timespec="seconds")
    run = NamedRun(name, named, pinned, artifacts, existing.configuration if existing else configuration)
    if existing is not None:
        _write(workspace.runs / name, run)
        return run
    new = workspace.runs / f".{name}.new"
    with workspace.store.in_use():
        workspace.root.register()
        workspace.root.add(artifacts.values())
        delete(new, ignore_errors=True)
        for manifest in manifests:
            workspace.store.link(manifest, new / manifest.artifact, new / ".scratch")
            write_atomically(new / f"{manifest.artifact}{MANIFEST}", manifest.encode())
        _write(new, run)
        new.rename(workspace.runs / name)
    return run


def protect(workspace: Workspace, name: str, protected: bool) -> NamedRun:
    """Protect a named run from removal and garbage collection, or end the protection.

    Raises:
        UnknownName: there is no such run.
    """
    run = replace(read_run(workspace, name), pinned=protected)
    _write(workspace.runs / name, run)
    return run


def remove(workspace: Workspace, name: str) -> None:
    """Remove a named run; its files stay in the store until the next garbage collection.

    Raises:
        UnknownName: there is no such run.
        RequestRefused: it is protected.
    """
    if read_run(workspace, name).pinned:
        raise RequestRefused(f"Run {name} is protected.", f"End the protection: tapeout runs protect --off {name}")
    remove_folder(workspace.runs / name)


def remove_folder(folder: Path) -> None:
    """Remove a run's folder atomically: it is renamed to a hidden name first."""
    hidden = folder.with_name(f".{folder.name}.old")
    delete(hidden, ignore_errors=True)
    folder.rename(hidden)
    delete(hidden)


def read_run(workspace: Workspace, name: str) -> NamedRun:
    """Read a named run.

    Raises:
        UnknownName: there is no such run.
    """
    run = _read(workspace, name) if NAME.fullmatch(name) else None
    if run is None:
        names = [item.name for item in list_runs(workspace)]
        known = (
            f"Known runs: {', '.join(names)}." if names else "Save the results as a run first: tapeout runs save NAME"
        )
        raise UnknownName(f"There is no run {name}{did_you_mean(name, names)}", known)
    return run


def list_runs(workspace: Workspace) -> list[NamedRun]:
    """Return all named runs, the newest first."""
    runs = [_read(workspace, path.parent.name) for path in workspace.runs.glob(f"[!.]*/{RUN}")]
    return sorted((run for run in runs if run is not None), key=lambda run: (run.named, run.name), reverse=True)


def summarize(workspace: Workspace) -> list[RunSummary]:
    """Compare all named runs with each other and with ``results/``; the newest first."""
    current = read_manifests(workspace)
    runs = {run.name: (run, read_manifests(run_workspace(workspace, run.name))) for run in list_runs(workspace)}
    users = Counter(key for _, manifests in runs.values() for key in _files(manifests))
    return [
        RunSummary(
            run,
            sum(_files(own).values()),
            sum(size for key, size in _files(own).items() if users[key] == 1 and key not in _files(current)),
            {name: own[name].digest() for name in _ends(workspace, own)},
            tuple(name for name in own if name not in current or current[name].digest() != own[name].digest()),
        )
        for run, own in runs.values()
    ]


def run_workspace(workspace: Workspace, name: str) -> Workspace:
    """Return a workspace whose ``results`` is the folder of a named run, for reading."""
    return replace(workspace, results=workspace.runs / name)


def read_manifests(workspace: Workspace) -> dict[str, Manifest]:
    """Return all readable manifests in ``results/``, by artifact."""
    manifests = {name: workspace.manifest(name) for name in artifact_names(workspace.results)}
    return {name: manifest for name, manifest in manifests.items() if manifest is not None}


def _files(manifests: dict[str, Manifest]) -> dict[tuple[str, bool], int]:
    """Return the size of each distinct file of some artifacts."""
    return {(e.digest, e.executable): e.size for manifest in manifests.values() for e in manifest.entries}


def _ends(workspace: Workspace, manifests: dict[str, Manifest]) -> list[str]:
    entries = [workspace.store.read_entry(manifest.action) for manifest in manifests.values()]
    read = {item["artifact"] for entry in entries if entry is not None for item in inputs(entry["action"])}
    return [name for name in manifests if name not in read]


def _intact_manifest(workspace: Workspace, artifact: str) -> Manifest:
    manifest = workspace.manifest(artifact)
    if manifest is None or not manifest.matches(workspace.artifact_path(artifact)):
        raise RequestRefused(f"Artifact {artifact} does not match its manifest.", "Run: tapeout verify --repair")
    if workspace.store.find(manifest.action) is None or not workspace.store.is_complete(manifest):
        raise RequestRefused(f"Artifact {artifact} is not in the store.", "Run: tapeout verify --repair")
    return manifest


def _read(workspace: Workspace, name: str) -> NamedRun | None:
    try:
        value = read_json(workspace.runs / name / RUN)
        return NamedRun(**{**value, "configuration": Configuration.from_json(value.get("configuration"))})
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _write(folder: Path, run: NamedRun) -> None:
    write_atomically(folder / RUN, canonical(asdict(run)) + b"\n")
