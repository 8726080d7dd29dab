"""Garbage collection: freeing what no results and no named run want any more.

Kept with their files are the outputs of all actions that a root wants (``roots.Root``: results, named runs and the last
plan of every folder that uses the store), of those that are being carried out or are still to be pushed to a remote,
and, on request, of young ones. Kept without their files are the entries of everything that made what is kept, directly
or not: small JSON, so that ``why`` and an audit still find the whole history. Never touched are the journal, what was
set aside, second copies, and the scratch folder of an interrupted step that the last plan asks for: it goes on there.

Runs may go on meanwhile: whatever takes files into the store or out of it holds it ``in_use``, and sweeping waits for
that. Objects go before the entries that name them, so that a sweep that was killed leaves nothing that is believed and
everything that the next sweep finds.
"""

import fcntl
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tapeout.graph import named_runs
from tapeout.graph.errors import GcError, NotWritable
from tapeout.graph.identity.environment import FOLDER, LOCKS, read_environment
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.store.action_index import ActionIndex
from tapeout.graph.store.roots import DIGEST, Root, registered
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import Workspace

DAY = 86_400.0
"""Seconds. Temporary files, and objects that no entry names, may belong to a writer at work if they are younger."""

TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")
"""How ``digest.write_atomically`` names its files: an artifact may well hold others that end so."""


@dataclass(frozen=True)
class GcOptions:
    """What a person asks for.

    Attributes:
        keep_runs: how many of this folder's unpinned named runs to keep, the newest; None keeps all.
        older_than: seconds; what was built, named or written more recently stays.
        forget: folders that are gone for good.
        quarantine: also free damaged files that were put aside.
        environments: also free environments of this folder that no lock describes any more.
    """

    keep_runs: int | None = None
    older_than: float = 0.0
    forget: tuple[Path, ...] = ()
    quarantine: bool = False
    environments: bool = False


@dataclass(frozen=True)
class Freed:
    """Things of one kind; ``size`` is in bytes of the disk: a file that has a name elsewhere frees none."""

    kind: str
    names: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Collected:
    """What was freed, or would be; ``kept`` counts artifacts with their files, ``kept_size`` their bytes."""

    freed: tuple[Freed, ...]
    kept: int
    kept_size: int
    roots: tuple[Root, ...]

    @property
    def size(self) -> int:
        """Bytes freed in all."""
        return sum(freed.size for freed in self.freed)


NAMED_RUNS, SCRATCH = "named runs", "scratch folders"
MEANINGS = ("definitions", "environments")
"""What digests of code and of environments stand for (``Store.remember``)."""


def collect(workspace: Workspace, wishes: GcOptions, dry: bool, now: float) -> Collected:
    """Free what nothing wants, or only say what would be freed.

    Args:
        workspace: the folder that asks; its store is swept, and its own scratch and named runs.
        wishes: see ``GcOptions``.
        dry: only look.
        now: the time, in seconds since 1970.

    Raises:
        GcError: there is none.
        GcError: a folder to be forgotten can be seen, or is not known.
        GcError: see ``GcOptions.environments``.
        NotWritable: something belongs to somebody else.
    """
    store = workspace.store
    if not store.root.is_dir():
        raise GcError(f"There is no store at {store.root}.", "Go to the project's folder, or correct TAPEOUT_STORE.")
    with store.in_use() if dry else store.collecting():
        forgotten = _forgotten(registered(store), wishes.forget)
        others = {root.place: root for root in registered(store) if root not in forgotten}
        roots = tuple({**others, workspace.root.place: workspace.root}.values())
        old_runs = _old_runs(workspace, wishes, now)
        makers = ActionIndex(store)
        wanted = _wanted(workspace, roots, old_runs)
        wanted |= {action for action in makers.entries.keys() - wanted if _busy(store.lock_path(action))}
        wanted |= {path.name for path in (store.root / "owed").glob("*/*")}
        wanted |= _young(store, makers, wishes, now)
        known = wanted & makers.entries.keys()
        kept = {action for action in known if store.is_complete(makers.output(action))}
        doomed = [
            *((NAMED_RUNS, workspace.runs / name) for name in old_runs),
            *_unwanted(store, makers, known, max(DAY, wishes.older_than), now),
            *_scratch(workspace, wanted - kept, wishes, now),
        ]
        collected = Collected(_sums(doomed), len(kept), _size(store, makers, kept), roots)
        if not dry:
            _carry_out(store, doomed, forgotten, roots)
    return collected


def _forgotten(roots: list[Root], folders: Iterable[Path]) -> list[Root]:
    """The roots that the user says are gone."""
    found = []
    for folder in folders:
        same = [root for root in roots if root.folder == folder.resolve()]
        gone = [root for root in same if not root.visible]
        if not gone:
            what = "is there" if same else "is no folder that uses this store"
            raise GcError(f"{folder} {what}.", "Only a folder that is gone can be forgotten; tapeout gc names them.")
        found += gone
    return found


def _old_runs(workspace: Workspace, wishes: GcOptions, now: float) -> list[str]:
    """This folder's named runs that are to go."""
    if wishes.keep_runs is None:
        return []
    loose = [run for run in named_runs.list_runs(workspace) if not run.pinned][wishes.keep_runs :]
    return sorted(run.name for run in loose if now - datetime.fromisoformat(run.named).timestamp() >= wishes.older_than)


def _wanted(workspace: Workspace, roots: Iterable[Root], old_runs: list[str]) -> set[str]:
    """Actions that a root names."""
    own = workspace.root
    return {action for root in roots for action in root.wanted(old_runs if root == own else ())}


@contextmanager
def _held_off(lock: Path) -> Iterator[bool]:
    """Keep others from taking a lock for a moment; False if somebody has it."""
    with ExitStack() as stack:
        free = True
        with suppress(FileNotFoundError):
            file = stack.enter_context(open(lock, "rb"))
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                free = False
        yield free


def _busy(lock: Path) -> bool:
    with _held_off(lock) as free:
        return not free


def _young(store: Store, makers: ActionIndex, wishes: GcOptions, now: float) -> set[str]:
    """Actions that were carried out more recently than what the user wants to free."""
    if not wishes.older_than:
        return set()
    finished = {line["action"]: datetime.fromisoformat(line["finished"]).timestamp() for line in store.journal()}
    entered = {action: _modified(store.action_path(action)) for action in makers.entries.keys() - finished}
    return {action for action, when in (entered | finished).items() if now - when < wishes.older_than}


def _unwanted(
    store: Store, makers: ActionIndex, wanted: set[str], age: float, now: float
) -> Iterator[tuple[str, Path]]:
    """Objects, entries and meanings in the store that nothing needs."""
    named = {action: _objects(store, makers.output(action)) for action in makers.entries}
    needed = {path for action in wanted for path in named[action]}
    known = {path for paths in named.values() for path in paths}
    for path in sorted((store.root / "objects").glob("*/[!.]*")):
        if path in known - needed if path in known else now - path.lstat().st_ctime >= age:
            yield "objects", path
    history = makers.closure(wanted)
    for action in sorted(makers.entries.keys() - history):
        yield "entries", store.action_path(action)
    actions = [makers.entries[action]["action"] for action in history]
    meant = {action["environment"]["digest"] for action in actions}
    meant |= {digest for action in actions for digest in action["code"].values()}
    for kind in MEANINGS:
        for path in sorted((store.root / kind).glob("*/[!.]*")):
            if path.stem not in meant and now - _modified(path) >= age:
                yield kind, path


def _scratch(workspace: Workspace, unfinished: set[str], wishes: GcOptions, now: float) -> Iterator[tuple[str, Path]]:
    """What runs of this folder and writers to the store left behind; ``unfinished`` actions still want theirs."""
    store, work = workspace.store, workspace.work
    if not _busy(workspace.graph / "lock"):  # a run of this folder, perhaps on another store
        for path in sorted(work.glob("*")):
            spared = path.name in unfinished or _busy(store.lock_path(path.name))
            if DIGEST.fullmatch(path.name) and not spared and now - _modified(path) >= wishes.older_than:
                yield SCRATCH, path
        for path in sorted((work / "differing").glob("*")):
            if now - _modified(path) >= wishes.older_than:
                yield "differing results", path
        for path in [*sorted(workspace.runs.glob(".*")), *sorted((workspace.graph / "scratch").glob("*"))]:
            if path.is_dir():
                yield "interrupted moves", path
    for path in sorted(work.glob("rebuild.*")):
        if now - max(map(_modified, [path, *path.rglob("*")])) >= max(DAY, wishes.older_than):
            yield SCRATCH, path
    for path in sorted((store.root / "incoming").glob("*")):
        if now - _modified(path) >= max(DAY, wishes.older_than) and not _busy(path):
            yield "interrupted downloads", path
    for place in (store.root, workspace.results):
        for path in sorted(path for path in place.rglob(".*.tmp") if TEMPORARY.fullmatch(path.name)):
            if now - _modified(path) >= max(DAY, wishes.older_than):
                yield "temporary files", path
    if wishes.quarantine:
        yield from (("damaged files put aside", path) for path in sorted((store.root / "quarantine").glob("*")))
    if wishes.environments:
        yield from (("environments", path) for path in _old_environments(workspace.root.folder))


def _old_environments(folder: Path) -> Iterator[Path]:
    """Environments of a folder that none of its locks describes."""
    place = folder / FOLDER
    if place.is_symlink():
        raise GcError(
            f"{FOLDER} is a link to {place.readlink()}.", "Run tapeout gc --environments in the folder that owns it."
        )
    locked = {read_environment(path.stem, folder).folder.name for path in (folder / LOCKS).glob("*.lock")}
    for path in sorted(place.glob("*")):
        if re.fullmatch(r"[a-z0-9_.-]+-[0-9a-f]{16}", path.name) and path.name not in locked:
            yield path


def _objects(store: Store, manifest: Manifest) -> set[Path]:
    return {store.object_path(entry) for entry in manifest.entries}


def _size(store: Store, makers: ActionIndex, actions: set[str]) -> int:
    """Bytes of the objects of some actions, each counted once."""
    paths = {path for action in actions for path in _objects(store, makers.output(action))}
    return sum(path.lstat().st_size for path in paths)


def _modified(path: Path) -> float:
    """Seconds since 1970; far in the future for what has gone meanwhile."""
    with suppress(FileNotFoundError):
        return path.lstat().st_mtime
    return float("inf")


def _files(path: Path) -> Iterator[os.stat_result]:
    """A file, or all files in a folder."""
    files = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    for file in files if path.is_dir() and not path.is_symlink() else [path]:
        with suppress(FileNotFoundError):
            yield os.lstat(file)


def _sums(doomed: list[tuple[str, Path]]) -> tuple[Freed, ...]:
    """Sums by kind; a file counts once, for the first kind that holds it, and only if its last name goes."""
    names: dict[str, list[str]] = {}
    links: dict[tuple[int, int], list[tuple[str, os.stat_result]]] = defaultdict(list)
    for kind, path in doomed:
        names.setdefault(kind, []).append(path.name)
        for info in _files(path):
            links[info.st_dev, info.st_ino].append((kind, info))
    sizes: dict[str, int] = defaultdict(int)
    for found in links.values():
        kind, info = found[0]
        sizes[kind] += info.st_size if len(found) >= info.st_nlink else 0
    return tuple(Freed(kind, tuple(named), sizes[kind]) for kind, named in names.items())


def _carry_out(store: Store, doomed: list[tuple[str, Path]], forgotten: list[Root], roots: Iterable[Root]) -> None:
    """Remove what is doomed, in this order, and bring the lists of roots up to date."""
    try:
        for root in forgotten:
            shutil.rmtree(root.place)
        for kind, path in doomed:
            if kind == NAMED_RUNS:
                named_runs.remove_folder(path)
            elif kind == SCRATCH:
                with _held_off(store.lock_path(path.name)) as free:
                    if free:
                        shutil.rmtree(path)
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for root in roots:
            if root.visible and root.results.is_dir():
                root.register()
            if root.visible and root.place.is_dir():
                root.renew()
    except PermissionError as error:
        raise NotWritable(f"{error.filename} cannot be removed.", "Let its owner run tapeout gc.") from error
