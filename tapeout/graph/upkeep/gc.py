"""Garbage collection: delete what neither results nor named runs refer to.

The collector keeps the outputs of all actions that a root refers to (``store.roots``: results, named runs and the last
plan of every folder that uses the store), that are being carried out, that still have to be pushed to a remote, or, on
request, that are recent. Of everything upstream of these it keeps the entries, which are small JSON files, without the
files, so that ``why`` and audits still have the whole history. It never deletes the journal, results that were set
aside, second copies, and the scratch folder of an interrupted step of the last plan, where the step resumes.

Runs may continue meanwhile: whatever moves files into or out of the store holds ``Store.in_use``, and the collector
waits for it. Objects are deleted before the entries that refer to them. A collection that was killed therefore leaves
nothing that could be mistaken for complete, and everything that the next one needs to finish.
"""

import fcntl
import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from tapeout.graph import named_runs
from tapeout.graph.deletion import delete, entries
from tapeout.graph.errors import NotWritable, RequestRefused
from tapeout.graph.files import only_regular
from tapeout.graph.identity import code_tree
from tapeout.graph.identity.environment import FOLDER, LOCKS, read_environment
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.store.action_index import ActionIndex
from tapeout.graph.store.roots import DIGEST, Root, registered
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import Workspace

DAY = 86_400.0
"""Seconds. Younger temporary files, and younger objects without an entry, may belong to a process that is writing."""
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")
"""Names of ``files.temporary_path``; an artifact may contain other files that end in ``.tmp``."""
NAMED_RUNS, SCRATCH, TREES = "named runs", "scratch folders", "trees of code"
DESCRIPTIONS = ("definitions", "environments")
"""Kinds of ``Store.save_description``."""


@dataclass(frozen=True)
class GcOptions:
    """Options of a garbage collection.

    Attributes:
        keep_runs: number of this folder's unprotected named runs to keep, the newest; None keeps all.
        older_than: seconds; keep what was built, named or written more recently.
        forget: folders that no longer exist, whose roots are removed.
        quarantine: also delete damaged files in quarantine.
        environments: also delete environments of this folder that belong to no current lock.
    """

    keep_runs: int | None = None
    older_than: float = 0.0
    forget: tuple[Path, ...] = ()
    quarantine: bool = False
    environments: bool = False


@dataclass(frozen=True)
class Removal:
    """Deleted items of one kind; ``size`` is the disk space gained in bytes, 0 for files with other hard links."""

    kind: str
    names: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class GcReport:
    """Outcome of a garbage collection, or of its dry run.

    Attributes:
        removed: what was removed, by kind.
        kept: number of artifacts whose files are kept.
        kept_size: their size in bytes.
        roots: the folders that use the store.
    """

    removed: tuple[Removal, ...]
    kept: int
    kept_size: int
    roots: tuple[Root, ...]

    @property
    def size(self) -> int:
        """Disk space gained in bytes."""
        return sum(removal.size for removal in self.removed)


def collect(workspace: Workspace, options: GcOptions, dry_run: bool, now: float) -> GcReport:
    """Delete everything unreferenced from a workspace's store, scratch folder and named runs.

    Raises:
        RequestRefused: there is no store, a folder to be forgotten is visible or unknown, or environments are shared.
        NotWritable: something belongs to another user.
    """
    store = replace(workspace.store, trust=None)  # what this folder does not trust may be somebody else's result
    if not store.root.is_dir():
        raise RequestRefused(
            f"There is no store at {store.root}.", "Go to the project's folder, or correct TAPEOUT_STORE."
        )
    with store.in_use() if dry_run else store.collecting():
        forgotten = _forgotten_roots(registered(store), options.forget)
        others = {root.record: root for root in registered(store) if root not in forgotten}
        roots = tuple({**others, workspace.root.record: workspace.root}.values())
        old_runs = _old_runs(workspace, options, now)
        index = ActionIndex(store)
        wanted = {action for root in roots for action in root.wanted(old_runs if root == workspace.root else ())}
        wanted |= {action for action in index.entries.keys() - wanted if _is_locked(store.lock_path(action))}
        wanted |= {path.name for path in _inside(store.root / "owed", "*/*")}
        wanted |= _recent_actions(store, index, options, now)
        known = wanted & index.entries.keys()
        kept = {action for action in known if store.is_complete(index.output(action))}
        garbage = [
            *((NAMED_RUNS, workspace.runs / name) for name in old_runs),
            *_unreferenced(store, index, known, max(DAY, options.older_than), now),
            *_leftovers(workspace, wanted, kept, options, now),
        ]
        report = GcReport(_removals(garbage), len(kept), _size(store, index, kept), roots)
        if not dry_run:
            _delete(store, garbage, forgotten, roots)
    return report


def _forgotten_roots(roots: list[Root], folders: Iterable[Path]) -> list[Root]:
    """Return the roots of folders that, as the user states, no longer exist."""
    forgotten = []
    for folder in folders:
        same = [root for root in roots if root.folder == folder.resolve()]
        invisible = [root for root in same if not root.visible]
        if not invisible:
            state = "exists" if same else "is not a folder that uses this store"
            raise RequestRefused(
                f"{folder} {state}.", "Only a folder that is gone can be forgotten; tapeout gc lists them."
            )
        forgotten += invisible
    return forgotten


def _old_runs(workspace: Workspace, options: GcOptions, now: float) -> list[str]:
    """Return the names of this folder's named runs that are to be removed."""
    if options.keep_runs is None:
        return []
    old = [run for run in named_runs.list_runs(workspace) if not run.pinned][options.keep_runs :]
    return sorted(run.name for run in old if now - datetime.fromisoformat(run.named).timestamp() >= options.older_than)


@contextmanager
def _try_lock(path: Path) -> Iterator[bool]:
    """Prevent others from taking a lock; yield False if somebody has taken it."""
    with ExitStack() as stack:
        free = True
        with suppress(FileNotFoundError):
            file = stack.enter_context(open(path, "rb", opener=only_regular))
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                free = False
        yield free


def _is_locked(path: Path) -> bool:
    with _try_lock(path) as free:
        return not free


def _recent_actions(store: Store, index: ActionIndex, options: GcOptions, now: float) -> set[str]:
    """Return the actions that were carried out less than ``older_than`` ago."""
    if not options.older_than:
        return set()
    finished = {line["action"]: datetime.fromisoformat(line["finished"]).timestamp() for line in store.journal()}
    entered = {action: _modified(store.action_path(action)) for action in index.entries.keys() - finished}
    return {action for action, when in (entered | finished).items() if now - when < options.older_than}


def _unreferenced(
    store: Store, index: ActionIndex, wanted: set[str], age: float, now: float
) -> Iterator[tuple[str, Path]]:
    """Yield the objects, entries and descriptions that no kept action refers to."""
    objects = {action: _objects(store, index.output(action)) for action in index.entries}
    needed = {path for action in wanted for path in objects[action]}
    known = {path for paths in objects.values() for path in paths}
    for path in store.object_paths():
        if path in known - needed if path in known else now - path.lstat().st_ctime >= age:
            yield "objects", path
    history = index.closure(wanted)
    for action in sorted(index.entries.keys() - history):
        yield "entries", store.action_path(action)
    for path in _inside(store.root / "signatures", "*/*.json"):
        if DIGEST.fullmatch(path.stem) and path.stem not in history and now - _modified(path) >= age:
            yield "signatures", path
    actions = [index.entries[action]["action"] for action in history]
    described = {action.get("environment", {}).get("digest") for action in actions}
    described |= {digest for action in actions for digest in action.get("code", {}).values()}
    for kind in DESCRIPTIONS:
        for path in _inside(store.root / kind, "*/*.json"):
            if DIGEST.fullmatch(path.stem) and path.stem not in described and now - _modified(path) >= age:
                yield kind, path


def _leftovers(
    workspace: Workspace, wanted: set[str], kept: set[str], options: GcOptions, now: float
) -> Iterator[tuple[str, Path]]:
    """Yield what interrupted runs and writers left, and the metrics of actions that are not ``wanted``.

    Wanted actions whose output is not ``kept`` still need their scratch folders.
    """
    store, work, age = workspace.store, workspace.work, max(DAY, options.older_than)
    if not _is_locked(workspace.graph / "lock"):  # a run of this folder, perhaps on another store
        for path in sorted(work.glob("*")):
            spared = path.name in wanted - kept or _is_locked(store.lock_path(path.name))
            if DIGEST.fullmatch(path.name) and not spared and now - _modified(path) >= options.older_than:
                yield SCRATCH, path
        for path in sorted(work.glob("metrics/*.jsonl")):
            spared = path.stem in wanted or _is_locked(store.lock_path(path.stem))
            if not spared and now - _modified(path) >= options.older_than:
                yield "metrics", path
        for path in sorted(path for path in workspace.code.glob("*") if path.is_dir()):
            if now - _modified(path) >= age:
                yield TREES, path
        for path in sorted((work / "differing").glob("*")):
            if now - _modified(path) >= options.older_than:
                yield "differing results", path
        for path in [*sorted(workspace.runs.glob(".*")), *sorted((workspace.graph / "scratch").glob("*"))]:
            if path.is_dir():
                yield "interrupted moves", path
    for path in sorted(work.glob("rebuild.*")):
        if now - max((info.st_mtime for _, _, info in entries(path)), default=now) >= age:
            yield SCRATCH, path
    for path in _inside(store.root / "incoming", "*"):
        if now - _modified(path) >= age and not _is_locked(path):
            yield "interrupted downloads", path
    for folder in (store.root, workspace.results):
        for path in sorted(path for path in folder.rglob(".*.tmp") if TEMPORARY.fullmatch(path.name)):
            if now - _modified(path) >= age:
                yield "temporary files", path
    if options.quarantine:
        yield from (("quarantined files", path) for path in _inside(store.root / "quarantine", "*"))
    if options.environments:
        yield from (("environments", path) for path in _old_environments(workspace.root.folder))


def _inside(folder: Path, pattern: str) -> list[Path]:
    """Return the sorted paths in a folder of the store; none through a link, which leads out of the store."""
    if folder.is_symlink():
        return []
    return sorted(path for path in folder.glob(pattern) if not path.parent.is_symlink())


def _old_environments(folder: Path) -> Iterator[Path]:
    """Yield the environments of a folder that belong to none of its locks."""
    environments = folder / FOLDER
    if environments.is_symlink():
        target = environments.readlink()
        raise RequestRefused(
            f"{FOLDER} is a link to {target}.", "Run tapeout gc --environments in the folder that owns it."
        )
    locked = {read_environment(path.stem, folder).folder.name for path in (folder / LOCKS).glob("*.lock")}
    for path in sorted(environments.glob("*")):
        if re.fullmatch(r"[a-z0-9_.-]+-[0-9a-f]{16}", path.name) and path.name not in locked:
            yield path


def _objects(store: Store, manifest: Manifest) -> set[Path]:
    return {store.object_path(entry) for entry in manifest.entries}


def _size(store: Store, index: ActionIndex, actions: set[str]) -> int:
    """Return the size of the objects of some actions, each counted once."""
    paths = {path for action in actions for path in _objects(store, index.output(action))}
    return sum(path.lstat().st_size for path in paths)


def _modified(path: Path) -> float:
    """Return the modification time in seconds since 1970, or infinity if the file was deleted meanwhile."""
    with suppress(FileNotFoundError):
        return path.lstat().st_mtime
    return float("inf")


def _files(path: Path) -> Iterator[os.stat_result]:
    """Yield the ``lstat`` of a file, or of all files in a folder."""
    return (info for _, _, info in entries(path) if not stat.S_ISDIR(info.st_mode))


def _removals(garbage: list[tuple[str, Path]]) -> tuple[Removal, ...]:
    """Sum up by kind; a file counts once, for the first kind that contains it, and only if its last link is deleted."""
    names: dict[str, list[str]] = {}
    links: dict[tuple[int, int], list[tuple[str, os.stat_result]]] = defaultdict(list)
    for kind, path in garbage:
        names.setdefault(kind, []).append(path.name)
        for info in _files(path):
            links[info.st_dev, info.st_ino].append((kind, info))
    sizes: dict[str, int] = defaultdict(int)
    for deleted in links.values():
        kind, info = deleted[0]
        sizes[kind] += info.st_size if len(deleted) >= info.st_nlink else 0
    return tuple(Removal(kind, tuple(group), sizes[kind]) for kind, group in names.items())


def _delete(store: Store, garbage: list[tuple[str, Path]], forgotten: list[Root], roots: Iterable[Root]) -> None:
    """Delete garbage in the given order, and bring the lists of the roots up to date."""
    try:
        for root in forgotten:
            delete(root.record)
        for kind, path in garbage:
            if kind == NAMED_RUNS:
                named_runs.remove_folder(path)
            elif kind == SCRATCH:
                with _try_lock(store.lock_path(path.name)) as free:
                    if free:
                        delete(path)
            elif kind == TREES:
                code_tree.remove(path)
            else:
                delete(path)
        for root in roots:
            if root.visible and root.is_used:
                root.register()
            if root.visible and root.record.is_dir():
                root.rewrite_list()
    except PermissionError as error:
        raise NotWritable(f"{error.filename} cannot be deleted.", "Ask its owner to run tapeout gc.") from error
