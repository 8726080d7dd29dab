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
        for entry in copy.stated.entries if copy.stated is not None else ():
            files[entry.digest, entry.executable].append(copy.file(entry))
    wanted = set(addresses)
    with workspace.store.in_use():
        for copy in copies:
            manifest = copy.manifest or _stored_manifest(workspace, copy)
            if copy.address not in wanted or manifest is None:
                continue
            lost = [entry for entry in manifest.entries if not _restore_object(workspace.store, entry, files)]
            if not lost and not (copy.manifest is not None and manifest.matches(copy.root)):
                _restore_copy(workspace, copy, manifest)


def _stored_manifest(workspace: Workspace, copy: ArtifactCopy) -> Manifest | None:
    """Return the store's manifest of the action that made a copy, by run, manifest or plan; None if there is none.

    A manifest in ``results/`` that the store does not know is adopted only if this folder has built its files.
    """
    name, _, run = copy.address.partition("@")
    if run:
        known = workspace.store.find(read_run(workspace, run).artifacts[name])
    else:
        known = workspace.store.find(copy.stated.action) if copy.stated is not None else None
        if known is None or known.artifact != name:
            with suppress(UnreadableState):
                known = workspace.store.find(workspace.action(name).digest)
    if known is None and copy.stated is not None:
        _restore_entry(workspace, copy.stated)
        known = workspace.store.find(copy.stated.action)
    return known


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
    """Write a lost entry of what this folder has built again, if ``results/.graph`` still has the action."""
    trust = workspace.store.trust
    with suppress(UnreadableState):
        action = workspace.action(manifest.artifact)
        if action.digest == manifest.action and trust is not None and trust.was_built(manifest):
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
