"""Verification of results and named runs against their manifests, and of the store against its digests."""

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tapeout.graph.errors import NotAPlainFile
from tapeout.graph.identity.digest import digest_file
from tapeout.graph.identity.manifest import Entry, Manifest, walk
from tapeout.graph.named_runs import artifact_names, list_runs, run_workspace
from tapeout.graph.store.action_index import inputs
from tapeout.graph.workspace import Workspace

UNTRUSTED = "is signed by no trusted key"


@dataclass(frozen=True, order=True)
class Finding:
    """A problem with a file.

    Attributes:
        artifact: its address (``sft/model``, or ``sft/model@before`` in a named run); empty for a file of the store
            that neither ``results/`` nor a named run uses.
        path: the file.
        problem: rest of a sentence that begins with the file.
    """

    artifact: str
    path: str
    problem: str


@dataclass(frozen=True)
class ArtifactCopy:
    """An artifact in ``results/`` or in a named run.

    Attributes:
        address: see ``Finding.artifact``.
        root: the file or folder.
        manifest: the store's; None if the one beside the artifact is missing, not valid or another.
        stated: what the file beside the artifact states, which is only a hint; None if it cannot be read.
    """

    address: str
    root: Path
    manifest: Manifest | None
    stated: Manifest | None = None

    def file(self, entry: Entry) -> Path:
        """Return the path of one file of the artifact."""
        return self.root / entry.path if entry.path else self.root


@dataclass(frozen=True)
class FileCheck:
    """A file to check: its path, its entry in the manifest, and the artifact that it belongs to (see ``Finding``)."""

    path: Path
    entry: Entry
    artifact: str


def artifact_addresses(workspace: Workspace) -> list[str]:
    """Return the addresses of all artifacts in ``results/`` and in named runs, without reading the store."""
    names = set(artifact_names(workspace.results))
    for path in workspace.graph.rglob("*.action.json"):  # artifacts of the last plan that lost their manifests
        name = path.relative_to(workspace.graph).as_posix().removesuffix(".action.json")
        if os.path.lexists(workspace.artifact_path(name)):
            names.add(name)
    return [*sorted(names), *(f"{name}@{run.name}" for run in list_runs(workspace) for name in sorted(run.artifacts))]


def artifact_copies(workspace: Workspace) -> list[ArtifactCopy]:
    """Return all artifacts in ``results/`` and in named runs."""
    actions = {run.name: run.artifacts for run in list_runs(workspace)}
    copies = []
    for address in artifact_addresses(workspace):
        name, _, run = address.partition("@")
        copy = _copy(run_workspace(workspace, run) if run else workspace, name, address)
        valid = not run or (copy.stated is not None and copy.stated.action == actions[run][name])
        copies.append(copy if valid else replace(copy, manifest=None, stated=None))
    return copies


def _copy(workspace: Workspace, name: str, address: str) -> ArtifactCopy:
    stated = workspace.stated_manifest(name)
    manifest = stated[0] if stated is not None and workspace.store.has_manifest(*stated) else None
    return ArtifactCopy(address, workspace.artifact_path(name), manifest, stated[0] if stated is not None else None)


def verify(
    workspace: Workspace,
    addresses: list[str],
    deep: bool,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Finding]:
    """Verify some artifacts, or everything.

    Args:
        workspace: results, named runs and store.
        addresses: artifacts (see ``Finding``); empty for all in ``results/`` and in named runs, and the store.
        deep: read every byte; otherwise a file with its sealed time and size is trusted.
        progress: called from any thread with the bytes read so far and in total.

    Returns: What is wrong, sorted. Damaged objects and entries of the store have been quarantined.
    """
    with workspace.store.in_use():
        findings = [] if addresses else list(_damaged_entries(workspace))  # before they are read otherwise
        copies = {copy.address: copy for copy in artifact_copies(workspace)}
        if addresses:
            none = {name: ArtifactCopy(name, workspace.artifact_path(name), None) for name in addresses}
            copies = {name: copies.get(name, none[name]) for name in addresses}
        checks: list[FileCheck] = []
        for copy in copies.values():
            if copy.manifest is None:
                findings += _without_entry(workspace, copy)
            elif not copy.manifest.matches(copy.root):
                findings += _differences(copy, copy.manifest)
            else:
                findings += _missing_in_store(workspace, copy, copy.manifest)
                checks += [FileCheck(copy.file(entry), entry, copy.address) for entry in copy.manifest.entries]
        if deep:
            checks += [] if addresses else _object_checks(workspace)
            users = defaultdict(list)
            for copy in copies.values():
                for entry in copy.manifest.entries if copy.manifest is not None else ():
                    users[workspace.store.object_path(entry)].append(copy.address)
            findings += _read(workspace, checks, users, progress)
    return sorted({*findings, *_downstream(workspace, findings)})


def _without_entry(workspace: Workspace, copy: ArtifactCopy) -> Iterator[Finding]:
    """Report an artifact whose manifest is not the store's."""
    if copy.stated is None:
        yield Finding(copy.address, "", "has no valid manifest")
    elif workspace.store.distrusts(copy.stated):
        yield Finding(copy.address, str(workspace.store.action_path(copy.stated.action)), UNTRUSTED)
    elif workspace.store.find(copy.stated.action) is not None:
        yield Finding(copy.address, str(copy.root), "has another manifest than the store has of its action")
    else:
        path = workspace.store.action_path(copy.stated.action)
        yield Finding(copy.address, str(path), "is missing: the store does not know the artifact")
        yield from _missing_in_store(workspace, copy, copy.stated)


def _downstream(workspace: Workspace, findings: list[Finding]) -> Iterator[Finding]:
    """Report what in ``results/`` was built from damaged artifacts, directly or not."""
    in_store = str(workspace.store.root)
    damaged = {finding.artifact for finding in findings if finding.artifact and not _is_in(finding.path, in_store)}
    if not damaged:
        return
    needs: dict[str, set[str]] = {}
    for name in artifact_names(workspace.results):
        manifest = workspace.manifest(name)
        entry = workspace.store.read_entry(manifest.action) if manifest is not None else None
        needs[name] = {item["artifact"] for item in inputs(entry["action"])} if entry is not None else set()
    waiting, suspect = sorted(damaged), set(damaged)
    while waiting:
        upstream = waiting.pop(0)
        for name in sorted(name for name, needed in needs.items() if upstream in needed):
            what = "is damaged" if upstream in damaged else "is in doubt itself"
            yield Finding(name, "", f"was built from {upstream}, which {what}: build it again")
            if name not in suspect:
                suspect.add(name)
                waiting.append(name)


def _is_in(path: str, folder: str) -> bool:
    return bool(path) and Path(path).is_relative_to(folder)


def _differences(copy: ArtifactCopy, manifest: Manifest) -> Iterator[Finding]:
    """Compare the files of an artifact with its manifest."""
    try:
        files = dict(walk(copy.root))
    except (FileNotFoundError, NotAPlainFile) as error:
        missing = isinstance(error, FileNotFoundError)
        yield Finding(copy.address, str(copy.root), "is missing" if missing else "contains something not a plain file")
        return
    expected = {entry.path: entry for entry in manifest.entries}
    for path in sorted(files.keys() | expected.keys()):
        file = copy.root / path if path else copy.root
        if path not in expected:
            yield Finding(copy.address, str(file), "is not in the manifest")
        elif path not in files:
            yield Finding(copy.address, str(file), "is missing")
        elif problem := _problem(file, expected[path]):
            yield Finding(copy.address, str(file), problem)
        elif bool(files[path].st_mode & 0o100) != expected[path].executable:
            yield Finding(copy.address, str(file), "has a different mode")


def _missing_in_store(workspace: Workspace, copy: ArtifactCopy, manifest: Manifest) -> Iterator[Finding]:
    for entry in manifest.entries:
        path = workspace.store.object_path(entry)
        if not workspace.store.has_object(entry):
            yield Finding(copy.address, str(path), "is missing: the store has no copy")


def _damaged_entries(workspace: Workspace) -> Iterator[Finding]:
    store = replace(workspace.store, trust=None)  # an entry that is not trusted is not damaged
    for path in store.entry_paths():
        if store.read_entry(path.stem) is None:
            yield Finding("", str(path), "is a damaged entry")


def _object_checks(workspace: Workspace) -> list[FileCheck]:
    """Return checks of all objects against the digests in their names."""
    names = ((path, path.name.removesuffix("x"), path.name.endswith("x")) for path in workspace.store.object_paths())
    return [
        FileCheck(path, Entry("", executable, path.lstat().st_size, digest), "") for path, digest, executable in names
    ]


def _read(
    workspace: Workspace,
    checks: Iterable[FileCheck],
    users: dict[Path, list[str]],
    progress: Callable[[int, int], None],
) -> Iterator[Finding]:
    """Read each inode once, however many names it has, on all cores and the largest first."""
    by_inode: dict[tuple[int, int], list[FileCheck]] = defaultdict(list)
    for check in checks:
        try:
            info = check.path.stat()
        except FileNotFoundError:
            yield Finding(check.artifact, str(check.path), "was deleted meanwhile: a run is changing it")
            continue
        by_inode[info.st_dev, info.st_ino].append(check)
    groups = sorted(by_inode.values(), key=lambda group: -group[0].entry.size)
    total, done, lock = sum(group[0].entry.size for group in groups), 0, threading.Lock()

    def on_read(size: int) -> None:
        nonlocal done
        with lock:
            done += size
            progress(done, total)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = pool.map(lambda group: _problem(group[0].path, group[0].entry, on_read), groups)
        for group, problem in zip(groups, problems, strict=True):
            if problem:
                yield from _damaged(workspace, group, users, problem)


def _problem(path: Path, entry: Entry, on_read: Callable[[int], None] = lambda size: None) -> str:
    """Return what is wrong with a file's bytes, or an empty string."""
    try:
        same = digest_file(path, on_read) == entry.digest
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except NotAPlainFile:
        return "is not a regular file"
    return "" if same else f"is damaged: its digest is not {entry.digest[:16]}"


def _damaged(
    workspace: Workspace, group: list[FileCheck], users: dict[Path, list[str]], problem: str
) -> Iterator[Finding]:
    """Report every artifact that uses a damaged file, and quarantine the object if it is that file."""
    stored = workspace.store.object_path(group[0].entry)
    if stored.exists() and stored.samefile(group[0].path):
        workspace.store.quarantine(stored)
    own = [check for check in group if check.artifact]
    for check in own:
        yield Finding(check.artifact, str(check.path), problem)
        os.utime(check.path)  # without its sealed time the file is read, and the damage found, on every later check
    if not own:
        yield from (Finding(name, str(group[0].path), problem) for name in users.get(stored) or [""])
