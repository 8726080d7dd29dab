"""Mending what ``verify`` found, as far as a right copy lies anywhere: in the store, ``results/`` or a named run.

Where hard links make them one file there is but one copy, and only building the artifact again helps.
"""

from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tapeout.graph.errors import UnreadableState
from tapeout.graph.files import write_atomically
from tapeout.graph.identity.digest import digest_file
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.named_runs import MANIFEST, read_run
from tapeout.graph.store.store import Store, mode
from tapeout.graph.upkeep.verify import Kept, kept
from tapeout.graph.workspace import Workspace

Copies = dict[tuple[str, bool], list[Path]]
"""Files that should have a digest, by digest and executable bit."""


def mend(workspace: Workspace, addresses: Iterable[str]) -> None:
    """Bring the artifacts of some addresses, and the store's copies of them, back from what is still right.

    What has no right copy is left as it is; verify again to know.
    """
    everything = kept(workspace)
    copies: Copies = defaultdict(list)
    for one in everything:
        for entry in one.manifest.entries if one.manifest is not None else ():
            copies[entry.digest, entry.executable].append(one.file(entry))
    wanted = set(addresses)
    with workspace.store.in_use():
        for one in everything:
            manifest = one.manifest or _named(workspace, one)
            if one.address in wanted and manifest is not None:
                lost = [entry for entry in manifest.entries if not _restock(workspace.store, entry, copies)]
                if not lost and workspace.store.find(manifest.action) is None:
                    _vouch_again(workspace, manifest)
                if not lost and not (one.manifest is not None and manifest.matches(one.root)):
                    _put_back(workspace, one, manifest)


def _named(workspace: Workspace, one: Kept) -> Manifest | None:
    """The manifest that a named run had, if the store still has it."""
    name, _, run = one.address.partition("@")
    return workspace.store.find(read_run(workspace, run).artifacts[name]) if run else None


def _restock(store: Store, entry: Entry, copies: Copies) -> bool:
    """See that the store has a file, and has it right."""
    for path in [store.object_path(entry), *copies[entry.digest, entry.executable]]:
        with suppress(OSError):
            if digest_file(path) == entry.digest:
                if path != store.object_path(entry):
                    store.replace_object(path, entry)
                with suppress(PermissionError):  # another user's file, and right
                    store.object_path(entry).chmod(mode(entry))
                return True
    return False


def _vouch_again(workspace: Workspace, manifest: Manifest) -> None:
    """Write a lost entry again, if the action is still at hand."""
    with suppress(UnreadableState):
        action = workspace.action(manifest.artifact)
        if action.digest == manifest.action:
            workspace.store.write_entry(action, manifest)


def _put_back(workspace: Workspace, one: Kept, manifest: Manifest) -> None:
    _, _, run = one.address.partition("@")
    if not run:
        workspace.publish(manifest)
        return
    beside = one.root.with_name(f"{one.root.name}{MANIFEST}")
    beside.unlink(missing_ok=True)
    workspace.store.link(manifest, one.root, workspace.runs / f".{run}.mend")
    write_atomically(beside, manifest.encode())
