"""How a person names one artifact, wherever it is kept.

===================  ==================================================================================
``sft/model``        as it lies in ``results/``
``sft/model~1``      as it was built before that (``~2``: before that), from the journal and the store
``sft/model@old``    in the named run ``old``
``3f9a01c2``         the digest of an action or of an artifact in the store, or its first 8 or more letters
``./some/path``      any file or folder, with a leading ``./``, ``../`` or ``/``
===================  ==================================================================================
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tapeout.graph.errors import GraphError
from tapeout.graph.identity.manifest import Entry, Manifest, take, vouch
from tapeout.graph.store.store import Store
from tapeout.graph.upkeep.named_runs import read
from tapeout.graph.workspace import Workspace

EARLIER = re.compile(r"(.+)~(\d+)")
HEXADECIMAL = re.compile(r"[0-9a-f]{8,64}")


class UnknownAddress(GraphError):
    """Nothing is kept under that address, or more than one thing."""


@dataclass(frozen=True)
class Place:
    """An artifact that was found: what the user called it, its manifest, and where its files are.

    Exactly one of ``root`` (the files lie there under their names) and ``store`` (they lie there by digest) is used.
    """

    address: str
    manifest: Manifest
    root: Path | None
    store: Store

    def file(self, entry: Entry) -> Path:
        """Where one file of the artifact lies."""
        if self.root is None:
            return self.store.object_path(entry)
        return self.root / entry.path if entry.path else self.root

    def folder(self, scratch: Path) -> Path:
        """The artifact as files under their names; made of links below ``scratch`` if it lies by digest."""
        if self.root is not None:
            return self.root
        target = scratch / Path(self.manifest.artifact).name
        self.store.link(self.manifest, target, scratch / ".scratch")
        return target


def find(workspace: Workspace, address: str) -> Place:
    """The artifact that an address names.

    Raises:
        UnknownAddress: nothing is kept under it, or it is ambiguous.
        UnknownRun: it names a run that does not exist.
    """
    place = _find(workspace, address)
    if place.root is None and not place.store.whole(place.manifest):
        raise UnknownAddress(f"The files of {address} were freed from the store.", "Build it again.")
    return place


def _find(workspace: Workspace, address: str) -> Place:
    if address.startswith(("./", "../", "/")):
        path = Path(address)
        if not path.exists():
            raise UnknownAddress(f"There is nothing at {address}.", "Correct the path.")
        return Place(address, take(path, path.name, ""), path, workspace.store)
    artifact, _, run = address.partition("@")
    if run:
        return _in_run(workspace, address, artifact, run)
    manifest = workspace.manifest(address)
    if manifest is not None:
        if not vouch(workspace.artifact_path(address), manifest):
            raise UnknownAddress(f"Artifact {address} is not what its manifest says.", "Run: tapeout verify --repair")
        return Place(address, manifest, workspace.artifact_path(address), workspace.store)
    if earlier := EARLIER.fullmatch(address):
        return _earlier(workspace, address, earlier[1], int(earlier[2]))
    if HEXADECIMAL.fullmatch(address):
        return _by_digest(workspace, address)
    raise UnknownAddress(f"There is no artifact {address}.", "Run tapeout status to see the names.")


def _in_run(workspace: Workspace, address: str, artifact: str, run: str) -> Place:
    action = read(workspace, run).artifacts.get(artifact)
    if action is None:
        raise UnknownAddress(f"Run {run} has no artifact {artifact}.", f"Look into runs/{run}.")
    root = workspace.runs / run
    manifest = workspace.store.find(action)
    if manifest is None or not vouch(root / artifact, manifest):
        raise UnknownAddress(f"Artifact {address} is damaged.", "Run: tapeout verify --deep --repair")
    return Place(address, manifest, root / artifact, workspace.store)


def _earlier(workspace: Workspace, address: str, artifact: str, steps: int) -> Place:
    """Builds of an artifact by the journal, without repetitions, the one in ``results/`` left out."""
    now = workspace.manifest(artifact)
    seen = [now.action] if now is not None else []
    for line in reversed(workspace.store.journal()):
        if line["artifact"] == artifact and line["action"] not in seen:
            seen.append(line["action"])
    manifest = workspace.store.find(seen[steps]) if steps < len(seen) else None
    if manifest is None:
        raise UnknownAddress(f"The store knows no {address}.", "Name a run with @, or a digest.")
    return Place(address, manifest, None, workspace.store)


def _by_digest(workspace: Workspace, address: str) -> Place:
    found = {}
    for action, entry in workspace.store.entries():
        if action.startswith(address) or entry["manifest"]["digest"].startswith(address):
            found[entry["manifest"]["digest"]] = Manifest.from_json(entry["manifest"])
    if len(found) != 1:
        what = "nothing" if not found else f"{len(found)} things"
        raise UnknownAddress(f"The store has {what} under {address}.", "Give more of the digest.")
    return Place(address, next(iter(found.values())), None, workspace.store)
