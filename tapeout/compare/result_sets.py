"""Two sets of results: which artifacts differ, in the order in which they were built, and where the change began."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tapeout.graph import named_runs
from tapeout.graph.errors import InputChanged
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.plan import explain
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import Workspace

Inputs = Iterator[tuple[str, str, str]]


@dataclass(frozen=True)
class Made:
    """An artifact and the action that made it, as far as the store still has that."""

    manifest: Manifest
    action: dict[str, Any] | None


ResultSet = dict[str, Made]
"""By artifact name."""


@dataclass(frozen=True)
class ArtifactDifference:
    """One artifact of two sets.

    ``state`` is ``same`` (the bytes are; the action may be another), ``changed``, ``added`` or ``removed``; ``old`` and
    ``new`` are digests, None where there is no such artifact. ``changes`` are those between the two actions.
    ``began`` marks a changed artifact none of whose inputs changed: here a difference came into the graph. An input
    that was added or taken away is a change of the step itself.
    """

    artifact: str
    state: str
    old: str | None
    new: str | None
    began: bool
    changes: tuple[explain.Change, ...]

    @property
    def own(self) -> list[explain.Change]:
        """What changed in the step itself, and not in what it reads."""
        return [change for change in self.changes if not _is_consequence(change)]

    @property
    def is_leaf(self) -> bool:
        """Whether the artifact is not only the consequence of others."""
        return self.state == "changed" and (self.began or bool(self.own))


def _is_consequence(change: explain.Change) -> bool:
    return change.kind == "input" and change.old is not None and change.new is not None


def current(workspace: Workspace) -> ResultSet:
    """What lies in ``results/``."""
    return {name: _made(workspace.store, manifest) for name, manifest in named_runs.read_manifests(workspace).items()}


def in_run(workspace: Workspace, name: str) -> ResultSet:
    """What a named run holds.

    Raises:
        UnknownName: there is no such run.
    """
    return current(named_runs.run_workspace(workspace, named_runs.read_run(workspace, name).name))


def behind(store: Store, manifest: Manifest) -> ResultSet:
    """An artifact and everything that it was made from, as far as the store knows it."""
    versions: dict[str, list[Manifest]] = {}
    for _, entry in store.entries():
        versions.setdefault(entry["manifest"]["artifact"], []).append(Manifest.from_json(entry["manifest"]))
    found: ResultSet = {}
    waiting = [manifest]
    while waiting:
        made = _made(store, waiting.pop())
        found[made.manifest.artifact] = made
        for artifact, path, digest in _inputs(made):
            version = next((each for each in versions.get(artifact, []) if _holds(each, path, digest)), None)
            if version is not None and artifact not in found:
                waiting.append(version)
    return found


def _made(store: Store, manifest: Manifest) -> Made:
    entry = store.read_entry(manifest.action) if manifest.action else None
    return Made(manifest, entry["action"] if entry is not None else None)


def _inputs(made: Made) -> Inputs:
    """Artifact, path in it, and digest of each input."""
    for value in (made.action or {"inputs": {}})["inputs"].values():
        for item in value if isinstance(value, list) else [value]:
            yield item["artifact"], item["path"], item["digest"]


def _holds(manifest: Manifest, path: str, digest: str) -> bool:
    try:
        return manifest.digest(path) == digest
    except InputChanged:
        return False


def differences(store: Store, old: ResultSet, new: ResultSet) -> list[ArtifactDifference]:
    """All artifacts of both sets, each behind what it is made from."""
    return [_difference(store, name, old.get(name), new.get(name)) for name in _in_order(old, new)]


def _difference(store: Store, name: str, old: Made | None, new: Made | None) -> ArtifactDifference:
    digests = [made.manifest.digest() if made is not None else None for made in (old, new)]
    changes: tuple[explain.Change, ...] = ()
    known = False
    if old is not None and new is not None and old.action is not None and new.action is not None:
        changes, known = tuple(explain.compare(old.action, new.action, store)), True
    state = "added" if old is None else "removed" if new is None else "changed"
    state = "same" if digests[0] == digests[1] else state
    began = state == "changed" and known and not any(_is_consequence(change) for change in changes)
    return ArtifactDifference(name, state, digests[0], digests[1], began, changes)


def _in_order(old: ResultSet, new: ResultSet) -> list[str]:
    """Names in dependency order, alphabetical where it leaves a choice."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        made = new.get(name) or old.get(name)
        if made is None or name in seen:
            return
        seen.add(name)
        for artifact in sorted({artifact for artifact, _, _ in _inputs(made)}):
            visit(artifact)
        order.append(name)

    for name in sorted(old.keys() | new.keys()):
        visit(name)
    return order
