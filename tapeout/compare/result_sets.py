"""Comparison of two sets of results: which artifacts differ, in build order, and where a change originates."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tapeout.graph import named_runs
from tapeout.graph.errors import InputChanged
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.plan import explain
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import Workspace


@dataclass(frozen=True)
class Result:
    """An artifact and the action that built it; None if the store no longer has the action."""

    manifest: Manifest
    action: dict[str, Any] | None


@dataclass(frozen=True)
class StoresOfBoth:
    """Descriptions in the stores of two sets of results."""

    stores: tuple[Store, ...]

    def load_description(self, kind: str, digest: str) -> dict[str, Any]:
        """Return a description of the first store that has it, or an empty dictionary."""
        return next((found for store in self.stores if (found := store.load_description(kind, digest))), {})


ResultSet = dict[str, Result]
"""By artifact name."""


@dataclass(frozen=True)
class ArtifactDifference:
    """One artifact of two sets.

    Attributes:
        state: ``same`` (equal bytes, possibly by another action), ``changed``, ``added`` or ``removed``.
        old, new: digests; None where the artifact does not exist.
        is_origin: it changed although none of its inputs did, so that a difference originates here. An input that was
            added or removed is a change of the step itself.
        changes: differences of the two actions.
    """

    artifact: str
    state: str
    old: str | None
    new: str | None
    is_origin: bool
    changes: tuple[explain.Change, ...]

    @property
    def own_changes(self) -> list[explain.Change]:
        """Changes of the step itself, without those of the content of its inputs."""
        return [change for change in self.changes if not _is_consequence(change)]

    @property
    def changed_itself(self) -> bool:
        """True if its code, parameters or environment changed, and not only the content of its inputs."""
        return self.state == "changed" and (self.is_origin or bool(self.own_changes))


def _is_consequence(change: explain.Change) -> bool:
    return change.kind == "input" and change.old is not None and change.new is not None


def current(workspace: Workspace) -> ResultSet:
    """Return the results in ``results/``."""
    return {name: _result(workspace.store, manifest) for name, manifest in named_runs.read_manifests(workspace).items()}


def in_run(workspace: Workspace, name: str) -> ResultSet:
    """Return the results of a named run.

    Raises:
        UnknownName: there is no such run.
    """
    return current(named_runs.run_workspace(workspace, named_runs.read_run(workspace, name).name))


def lineage(store: Store, manifest: Manifest) -> ResultSet:
    """Return an artifact and everything upstream of it whose actions the store has."""
    versions: dict[str, list[Manifest]] = {}
    for _, entry in store.entries():
        versions.setdefault(entry["manifest"]["artifact"], []).append(Manifest.from_json(entry["manifest"]))
    results: ResultSet = {}
    waiting = [manifest]
    while waiting:
        result = _result(store, waiting.pop())
        results[result.manifest.artifact] = result
        for artifact, path, digest in _inputs(result):
            version = next((other for other in versions.get(artifact, []) if _contains(other, path, digest)), None)
            if version is not None and artifact not in results:
                waiting.append(version)
    return results


def upstream(results: ResultSet, name: str) -> set[str]:
    """Return the names of the artifacts that one was made from, itself included, as far as the set has them."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in results and current not in found:
            found.add(current)
            waiting += [artifact for artifact, _, _ in _inputs(results[current])]
    return found


def _result(store: Store, manifest: Manifest) -> Result:
    entry = store.read_entry(manifest.action) if manifest.action else None
    return Result(manifest, entry["action"] if entry is not None else None)


def _inputs(result: Result) -> Iterator[tuple[str, str, str]]:
    """Yield the artifact, the path in it, and the digest of every input."""
    for value in (result.action or {"inputs": {}})["inputs"].values():
        for item in value if isinstance(value, list) else [value]:
            yield item["artifact"], item["path"], item["digest"]


def _contains(manifest: Manifest, path: str, digest: str) -> bool:
    try:
        return manifest.digest(path) == digest
    except InputChanged:
        return False


def differences(store: explain.Descriptions, old: ResultSet, new: ResultSet) -> list[ArtifactDifference]:
    """Return the differences of all artifacts of both sets, in dependency order."""
    return [_difference(store, name, old.get(name), new.get(name)) for name in _in_order(old, new)]


def _difference(store: explain.Descriptions, name: str, old: Result | None, new: Result | None) -> ArtifactDifference:
    digests = [result.manifest.digest() if result is not None else None for result in (old, new)]
    changes: tuple[explain.Change, ...] = ()
    known = False
    if old is not None and new is not None and old.action is not None and new.action is not None:
        changes, known = tuple(explain.compare(old.action, new.action, store)), True
    state = "added" if old is None else "removed" if new is None else "changed"
    state = "same" if digests[0] == digests[1] else state
    is_origin = state == "changed" and known and not any(_is_consequence(change) for change in changes)
    return ArtifactDifference(name, state, digests[0], digests[1], is_origin, changes)


def _in_order(old: ResultSet, new: ResultSet) -> list[str]:
    """Return names in dependency order, otherwise alphabetically."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        result = new.get(name) or old.get(name)
        if result is None or name in seen:
            return
        seen.add(name)
        for artifact in sorted({artifact for artifact, _, _ in _inputs(result)}):
            visit(artifact)
        order.append(name)

    for name in sorted(old.keys() | new.keys()):
        visit(name)
    return order
