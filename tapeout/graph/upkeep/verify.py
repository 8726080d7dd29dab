"""Checking that what is there is what it is said to be: results and named runs against their manifests, the store
against its own names."""

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tapeout.graph.errors import NotAPlainFile
from tapeout.graph.identity.digest import digest_file
from tapeout.graph.identity.manifest import Entry, Manifest, walk
from tapeout.graph.named_runs import artifact_names, list_runs, run_workspace
from tapeout.graph.workspace import Workspace


@dataclass(frozen=True, order=True)
class Finding:
    """Something that is not as it should be.

    ``artifact`` is its address (``sft/model``, in a named run ``sft/model@before``), empty for a file of the store that
    neither ``results/`` nor a named run uses.
    """

    artifact: str
    path: str
    problem: str


@dataclass(frozen=True)
class Kept:
    """An artifact in ``results/`` or in a named run, with its manifest if that is sound."""

    address: str
    root: Path
    manifest: Manifest | None

    def file(self, entry: Entry) -> Path:
        """Where one file of the artifact lies."""
        return self.root / entry.path if entry.path else self.root


@dataclass(frozen=True)
class Doubt:
    """A file to be read: where it lies, what it should be, and the artifact that it belongs to (see ``Finding``)."""

    path: Path
    entry: Entry
    artifact: str


def kept(workspace: Workspace) -> list[Kept]:
    """All artifacts in ``results/`` and in named runs."""
    names = set(artifact_names(workspace.results))
    for path in workspace.graph.rglob("*.action.json"):  # the last plan knows what lies there without a manifest
        name = path.relative_to(workspace.graph).as_posix().removesuffix(".action.json")
        if os.path.lexists(workspace.artifact_path(name)):
            names.add(name)
    found = [Kept(name, workspace.artifact_path(name), workspace.manifest(name)) for name in sorted(names)]
    for run in list_runs(workspace):
        place = run_workspace(workspace, run.name)
        for name, action in sorted(run.artifacts.items()):
            manifest = place.manifest(name)
            same = manifest is not None and manifest.action == action
            found.append(Kept(f"{name}@{run.name}", place.artifact_path(name), manifest if same else None))
    return found


def verify(
    workspace: Workspace,
    addresses: list[str],
    deep: bool,
    progress: Callable[[int, int], None] = lambda done, all_: None,
) -> list[Finding]:
    """Look at artifacts, or at everything.

    Args:
        workspace: where things lie.
        addresses: artifacts (see ``Finding``); empty means all in ``results/`` and in named runs, and the store.
        deep: read every byte; otherwise a file that carries its seal's time and size is believed.
        progress: told from any thread how many bytes have been read, of how many.

    Returns:
        What is wrong, sorted. Damaged objects and entries of the store have been put aside.
    """
    found = {one.address: one for one in kept(workspace)}
    if addresses:
        found = {name: found.get(name, Kept(name, workspace.artifact_path(name), None)) for name in addresses}
    with workspace.store.in_use():
        findings = [] if addresses else list(_damaged_entries(workspace))
        doubts: list[Doubt] = []
        for one in found.values():
            if one.manifest is None:
                findings.append(Finding(one.address, "", "has no sound manifest"))
            elif not one.manifest.matches(one.root):
                findings += _faults(one, one.manifest)
            else:
                findings += _lacking(workspace, one, one.manifest)
                doubts += [Doubt(one.file(entry), entry, one.address) for entry in one.manifest.entries]
        if deep:
            doubts += [] if addresses else _objects(workspace)
            users = defaultdict(list)
            for one in found.values():
                for entry in one.manifest.entries if one.manifest is not None else ():
                    users[workspace.store.object_path(entry)].append(one.address)
            findings += _read(workspace, doubts, users, progress)
    return sorted(findings)


def _faults(one: Kept, manifest: Manifest) -> Iterator[Finding]:
    """Which files of an artifact are not what its manifest says."""
    try:
        found = dict(walk(one.root))
    except (FileNotFoundError, NotAPlainFile) as error:
        missing = isinstance(error, FileNotFoundError)
        yield Finding(one.address, str(one.root), "is missing" if missing else "holds what is no plain file")
        return
    expected = {entry.path: entry for entry in manifest.entries}
    for path in sorted(found.keys() | expected.keys()):
        file = one.root / path if path else one.root
        if path not in expected:
            yield Finding(one.address, str(file), "does not belong to it")
        elif path not in found:
            yield Finding(one.address, str(file), "is missing")
        elif problem := _problem(file, expected[path]):
            yield Finding(one.address, str(file), problem)
        elif bool(found[path].st_mode & 0o100) != expected[path].executable:
            yield Finding(one.address, str(file), "has another mode")


def _lacking(workspace: Workspace, one: Kept, manifest: Manifest) -> Iterator[Finding]:
    """What the store has lost of an artifact that is here."""
    if workspace.store.find(manifest.action) is None:
        path = workspace.store.action_path(manifest.action)
        yield Finding(one.address, str(path), "is missing: the store does not know the artifact")
    for entry in manifest.entries:
        path = workspace.store.object_path(entry)
        if not path.is_file():
            yield Finding(one.address, str(path), "is missing: the store has no copy")


def _damaged_entries(workspace: Workspace) -> Iterator[Finding]:
    for path in sorted((workspace.store.root / "actions").glob("*/[!.]*.json")):
        if workspace.store.read_entry(path.stem) is None:
            yield Finding("", str(path), "is a damaged entry")


def _objects(workspace: Workspace) -> list[Doubt]:
    """Objects of the store by the digest in their names."""
    paths = sorted((workspace.store.root / "objects").glob("*/[!.]*"))
    names = ((path, path.name.removesuffix("x"), path.name.endswith("x")) for path in paths)
    return [Doubt(path, Entry("", executable, path.stat().st_size, digest), "") for path, digest, executable in names]


def _read(
    workspace: Workspace, doubts: Iterable[Doubt], users: dict[Path, list[str]], progress: Callable[[int, int], None]
) -> Iterator[Finding]:
    """Read each file once, also where several names lead to it, on all cores, the largest first."""
    by_inode: dict[tuple[int, int], list[Doubt]] = defaultdict(list)
    for doubt in doubts:
        try:
            info = doubt.path.stat()
        except FileNotFoundError:
            yield Finding(doubt.artifact, str(doubt.path), "went away meanwhile: a run is changing it")
            continue
        by_inode[info.st_dev, info.st_ino].append(doubt)
    groups = sorted(by_inode.values(), key=lambda group: -group[0].entry.size)
    total, done, lock = sum(group[0].entry.size for group in groups), 0, threading.Lock()

    def told(size: int) -> None:
        nonlocal done
        with lock:
            done += size
            progress(done, total)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = pool.map(lambda group: _problem(group[0].path, group[0].entry, told), groups)
        for group, problem in zip(groups, problems, strict=True):
            if problem:
                yield from _damaged(workspace, group, users, problem)


def _problem(path: Path, entry: Entry, told: Callable[[int], None] = lambda size: None) -> str:
    """What is wrong with a file's bytes; empty if nothing."""
    try:
        same = digest_file(path, told) == entry.digest
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "" if same else f"is damaged: its digest is not {entry.digest[:16]}"


def _damaged(workspace: Workspace, group: list[Doubt], users: dict[Path, list[str]], problem: str) -> Iterator[Finding]:
    """Name every artifact that a damaged file belongs to, and put the store's name for it aside."""
    stored = workspace.store.object_path(group[0].entry)
    if stored.exists() and stored.samefile(group[0].path):
        workspace.store.quarantine(stored)
    own = [doubt for doubt in group if doubt.artifact]
    for doubt in own:
        yield Finding(doubt.artifact, str(doubt.path), problem)
        os.utime(doubt.path)  # without its seal's time it is read, and found out, by whoever looks at it next
    if not own:
        yield from (Finding(name, str(group[0].path), problem) for name in users.get(stored) or [""])
