"""Explain why a step runs: the differences between two actions, and the artifacts in which a change originated."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from tapeout.graph.identity.action import Recipe
from tapeout.graph.identity.code import definitions
from tapeout.graph.identity.container import Container
from tapeout.graph.identity.environment import Environment
from tapeout.graph.store.action_index import ActionIndex, inputs
from tapeout.graph.store.store import Store

KINDS = ("code", "parameter", "environment", "input")
INTERPRETER = "python"
"""Name of the interpreter among the packages of an environment; no package has this name."""
MAX_LISTED = 12
"""Up to this many unchanged inputs are listed one by one."""


class Descriptions(Protocol):
    """A store, or several, in which digests of packages and definitions are looked up."""

    def load_description(self, kind: str, digest: str) -> dict[str, Any]:
        """Return the description of a digest, or an empty dictionary."""


@dataclass(frozen=True)
class Change:
    """One difference between two actions.

    Attributes:
        kind: one of ``KINDS``.
        name: what changed: a module or a definition in it, a parameter's dotted name, a package, an input.
        old: old value; None if it did not exist.
        new: new value; None if it does not exist any more.
    """

    kind: str
    name: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Cause:
    """An artifact whose own code, parameters or environment changed.

    Attributes:
        artifact: its name.
        path: artifacts from the one asked about to this one, along which the former depends on the latter.
        changes: what changed.
    """

    artifact: str
    path: tuple[str, ...]
    changes: tuple[Change, ...]


class Comparison(StrEnum):
    """Result of comparing a part of an action with the earlier one."""

    SAME = "same"
    CHANGED = "changed"
    WAITS = "waits"


@dataclass(frozen=True)
class Row:
    """One row of the table of everything that an action consists of.

    Attributes:
        kind: one of ``KINDS``.
        name: the part of the action; an unchanged row may summarize several parts by their number.
        result: result of the comparison.
        old: old value.
        new: new value.
        origins: artifacts in which the change of an input originates.
    """

    kind: str
    name: str
    result: Comparison
    old: Any = None
    new: Any = None
    origins: tuple[str, ...] = ()


def record_definitions(store: Store, recipe: Recipe, environment: Environment | Container) -> None:
    """Store what the digests of environment and code stand for: packages and definitions, so that changes can be named.

    The interpreter is described like a package.

    A container needs nothing: its digest can be looked up in the registry.
    """
    if isinstance(environment, Environment):
        packages = {**environment.packages, INTERPRETER: environment.interpreter}
        store.save_description("environments", environment.digest, lambda: dict(packages))
    for name, digest in recipe.code.items():
        if name.endswith(".py"):
            store.save_description("definitions", digest, partial(definitions, Path(name)))


def compare(old: dict[str, Any], new: dict[str, Any], store: Descriptions) -> list[Change]:
    """Return all differences between two actions (values of ``Action``), in the order of ``KINDS``."""
    digests = (
        {label: item["digest"] for label, item in _label_inputs(action["inputs"]).items()} for action in (old, new)
    )
    return [*_own_changes(old, new, store), *(Change("input", *row) for row in _differences(*digests))]


def _own_changes(old: dict[str, Any], new: dict[str, Any], store: Descriptions) -> list[Change]:
    """Return the changes of the step itself, without those of its inputs."""
    return [
        *_code_changes(old["code"], new["code"], store),
        *(Change("parameter", *row) for row in _differences(_flatten(old["params"]), _flatten(new["params"]))),
        *_environment_changes(old["environment"], new["environment"], store),
        *(
            Change("environment", f"of every step: {name}", *values)
            for name, *values in _differences(*map(_layer, (old, new)))
        ),
    ]


def _layer(action: dict[str, Any]) -> dict[str, Any]:
    """Return what the layer itself adds to an action."""
    return {"schema": action["schema"], "fetches": action.get("fetches", False), **action.get("variables", {})}


def _differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name) or (name in old) != (name in new):
            yield name, old.get(name), new.get(name)


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one with dotted names; a list is a value, because its order matters."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        flat |= _flatten(inner, f"{prefix}.{name}" if prefix else name)
    return flat


def _label_inputs(by_name: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return inputs by a readable label: the name under which the step reads it, artifact and path."""
    labelled: dict[str, dict[str, Any]] = {}
    for name, value in by_name.items():
        for item in value if isinstance(value, list) else [value]:
            labelled[f"{name}: {item['artifact']}{'/' if item['path'] else ''}{item['path']}"] = item
    return labelled


def _code_changes(old: dict[str, str], new: dict[str, str], store: Descriptions) -> Iterator[Change]:
    for module, before, after in _differences(old, new):
        known = store.load_description("definitions", before or ""), store.load_description("definitions", after or "")
        inner = list(_differences(*known)) if all(known) else []
        for name, was, now in inner or [("", before, after)]:
            # a class differs whenever one of its methods does: then only the methods are named
            if not any(other.startswith(f"{name}.") for other, _, _ in inner if name):
                yield Change("code", f"{module}{f': {name}' if name else ''}", was, now)


def _environment_changes(old: dict[str, str], new: dict[str, str], store: Descriptions) -> Iterator[Change]:
    if old == new:
        return
    packages = (
        store.load_description("environments", old["digest"]),
        store.load_description("environments", new["digest"]),
    )
    inner = list(_differences(*packages)) if all(packages) else []
    for name, was, now in inner:
        yield Change("environment", f"{new['name']}: {name}", was, now)
    if not inner:
        renamed = old["name"] != new["name"]
        before, after = (_environment_label(environment, with_name=renamed) for environment in (old, new))
        yield Change("environment", new["name"], before, after)


def _environment_label(environment: dict[str, str], with_name: bool) -> str:
    """Return an environment's digest, and a container's Python."""
    python = f", {environment['python']}" if "python" in environment else ""
    return f"{environment['name'] + ' ' if with_name else ''}{environment['digest']}{python}"


def causes(
    index: ActionIndex,
    artifact: str,
    old: dict[str, Any],
    current: dict[str, dict[str, Any]],
    known: dict[str, str],
) -> list[Cause]:
    """Find the artifacts in which the changes that affect an artifact originate.

    Args:
        index: actions by the inputs that they produced.
        artifact: the artifact asked about.
        old: the action that made it.
        current: today's actions by artifact name; unknown ones are absent.
        known: digests of the actions that made the existing results, by artifact name: if several actions made the same
            bytes, the one to compare with.

    Returns:
        The artifacts whose own code, parameters or environment changed, nearest first, each with the shortest path for
        each input of ``old`` that leads to it.
    """
    result: list[Cause] = []
    queue: list[tuple[tuple[str, ...], dict[str, Any]]] = [((artifact,), old)]
    seen = set()
    while queue:
        path, before = queue.pop(0)
        name = path[-1]
        if (path[1:2], name) in seen or name not in current:
            continue
        seen.add((path[1:2], name))
        own = tuple(_own_changes(before, current[name], index.store))
        if own:
            result.append(Cause(name, path, own))
        for item in inputs(before):
            action = _find_action(index, item, current.get(item["artifact"]), known)
            if action is not None:
                queue.append(((*path, item["artifact"]), action))
    return result


def _find_action(
    index: ActionIndex, item: dict[str, str], current: dict[str, Any] | None, known: dict[str, str]
) -> dict[str, Any] | None:
    """Return the action that made an input unless it is today's; the latest one if that is ambiguous."""
    options = index.of(item)
    if not options or current in [index.entries[option]["action"] for option in options]:
        return None
    preferred = known.get(item["artifact"])
    action: dict[str, Any] = index.entries[preferred if preferred in options else index.latest(options)]["action"]
    return action


def table(
    old: dict[str, Any], new: dict[str, Any], today: dict[str, Any], known_causes: list[Cause], store: Store
) -> list[Row]:
    """Return everything that an action consists of: changes in detail, the rest in summary.

    Args:
        old: the action that made the artifact.
        new: today's action; its inputs are ignored.
        today: today's inputs as an action lists them; a digest that is only known in a run is None.
        known_causes: result of ``causes``.
        store: the store, in which digests are looked up.
    """
    rows: list[Row] = []
    own, packages = _own_changes(old, new, store), store.load_description("environments", new["environment"]["digest"])
    number = len(packages.keys() - {INTERPRETER})
    summaries = {
        "code": f"{new['script']}, {len(new['code'])} files",
        "parameter": f"all {len(_flatten(new['params']))}" if new["params"] else "none",
        "environment": f"{new['environment']['name']}, {f'{number} packages' if packages else 'by digest'}",
    }
    for kind, summary in summaries.items():
        changed = [change for change in own if change.kind == kind]
        rows += [Row(kind, change.name, Comparison.CHANGED, change.old, change.new) for change in changed]
        rows += [] if changed else [Row(kind, summary, Comparison.SAME)]
    return rows + _input_rows(_label_inputs(old["inputs"]), _label_inputs(today), known_causes)


def _input_rows(was: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]], known_causes: list[Cause]) -> list[Row]:
    rows, same = [], []
    for label in sorted(was.keys() | now.keys()):
        before, after = was.get(label), now.get(label)
        old, new = before and before["digest"], after and after["digest"]
        if old == new:
            same.append(Row("input", label, Comparison.SAME, old, new))
            continue
        artifact = (before or after or {})["artifact"]
        origins = {cause.artifact: None for cause in known_causes if cause.path[1:2] == (artifact,)}
        waits = after is not None and new is None
        result = Comparison.WAITS if waits else Comparison.CHANGED
        rows.append(Row("input", label, result, old, new, tuple(origins)))
    if len(same) > MAX_LISTED:
        same = [Row("input", f"{'the other' if rows else 'all'} {len(same)}", Comparison.SAME)]
    return rows + same
