"""Repair damage that ``verify`` found, from an intact copy in the store, in ``results/`` or in a named run.

Hard links to the same file are one copy; if that is damaged, the artifact has to be built again.
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
from tapeout.graph.store.store import Store, object_mode
from tapeout.graph.upkeep.verify import ArtifactCopy, artifact_copies
from tapeout.graph.workspace import Workspace

Files = dict[tuple[str, bool], list[Path]]
"""Files by the digest and executable bit that their manifests state."""


def repair(workspace: Workspace, addresses: Iterable[str]) -> None:
    """Restore artifacts, and the store's copies of their files, from intact copies.

    Files without an intact copy stay as they are; call ``verify`` afterwards to list them.
    """
    copies = artifact_copies(workspace)
    files: Files = defaultdict(list)
    for copy in copies:
        for entry in copy.manifest.entries if copy.manifest is not None else ():
            files[entry.digest, entry.executable].append(copy.file(entry))
    wanted = set(addresses)
    with workspace.store.in_use():
        for copy in copies:
            manifest = copy.manifest or _manifest_of_run(workspace, copy)
            if copy.address not in wanted or manifest is None:
                continue
            lost = [entry for entry in manifest.entries if not _restore_object(workspace.store, entry, files)]
            if not lost and workspace.store.find(manifest.action) is None:
                _restore_entry(workspace, manifest)
            if not lost and not (copy.manifest is not None and manifest.matches(copy.root)):
                _restore_copy(workspace, copy, manifest)


def _manifest_of_run(workspace: Workspace, copy: ArtifactCopy) -> Manifest | None:
    """Return the store's manifest of an artifact of a named run; None if the store lacks it, or without a run."""
    name, _, run = copy.address.partition("@")
    return workspace.store.find(read_run(workspace, run).artifacts[name]) if run else None


def _restore_object(store: Store, entry: Entry, files: Files) -> bool:
    """Ensure that the store has an intact object; return False if no intact copy exists."""
    for path in [store.object_path(entry), *files[entry.digest, entry.executable]]:
        with suppress(OSError):
            if digest_file(path) == entry.digest:
                if path != store.object_path(entry):
                    store.replace_object(path, entry)
                with suppress(PermissionError):  # the object belongs to another user, but is intact
                    store.object_path(entry).chmod(object_mode(entry))
                return True
    return False


def _restore_entry(workspace: Workspace, manifest: Manifest) -> None:
    """Write a missing entry of the store again, if ``results/.graph`` still has the action."""
    with suppress(UnreadableState):
        action = workspace.action(manifest.artifact)
        if action.digest == manifest.action:
            workspace.store.write_entry(action, manifest)


def _restore_copy(workspace: Workspace, copy: ArtifactCopy, manifest: Manifest) -> None:
    _, _, run = copy.address.partition("@")
    if not run:
        workspace.publish(manifest)
        return
    path = copy.root.with_name(f"{copy.root.name}{MANIFEST}")
    path.unlink(missing_ok=True)
    workspace.store.link(manifest, copy.root, workspace.runs / f".{run}.repair")
    write_atomically(path, manifest.encode())
