"""Why a step runs, or does not: what differs between two actions, and on which leaf of the graph the change began."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from tapeout.graph.identity.action import Recipe
from tapeout.graph.identity.code import definitions
from tapeout.graph.identity.container import Container
from tapeout.graph.identity.environment import Environment
from tapeout.graph.store.action_index import ActionIndex, inputs
from tapeout.graph.store.store import Store

KINDS = ("code", "parameter", "environment", "input")
SHOWN = 12
"""Inputs that are the same are listed one by one up to this many."""


@dataclass(frozen=True)
class Change:
    """One difference between two actions.

    ``kind`` is one of ``KINDS``; ``name`` says what changed (a module or a definition in it, a parameter's dotted name,
    a package, an input); ``old`` and ``new`` are None where it did not, or does not, exist.
    """

    kind: str
    name: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Cause:
    """An artifact whose action changed in itself, and the way by which the artifact asked about depends on it."""

    artifact: str
    path: tuple[str, ...]
    changes: tuple[Change, ...]


class Same(StrEnum):
    """How something compares with what it was."""

    SAME = "same"
    CHANGED = "changed"
    WAITS = "waits"


@dataclass(frozen=True)
class Row:
    """One line of the table of everything that an action consists of.

    A row that is the same may stand for several things and say how many; ``began`` names the artifacts in which the
    change of an input began.
    """

    kind: str
    name: str
    same: Same
    old: Any = None
    new: Any = None
    began: tuple[str, ...] = ()


def keep_meanings(store: Store, recipe: Recipe, environment: Environment | Container) -> None:
    """Keep what the digests of code and environment stand for, so that a change of them can be named later.

    A container's digest is a name of its own, which people look up in the registry.
    """
    if isinstance(environment, Environment):
        packages = environment.packages
        store.save_description("environments", environment.digest, lambda: dict(packages))
    for name, digest in recipe.code.items():
        if name.endswith(".py"):
            store.save_description("definitions", digest, partial(definitions, Path(name)))


def compare(old: dict[str, Any], new: dict[str, Any], store: Store) -> list[Change]:
    """All differences between two actions (the values that ``Action`` holds), in the order of ``KINDS``."""
    was, now = _labelled(old["inputs"]), _labelled(new["inputs"])
    digests = ({label: item["digest"] for label, item in side.items()} for side in (was, now))
    return [*_own(old, new, store), *(Change("input", *row) for row in _differing(*digests))]


def _own(old: dict[str, Any], new: dict[str, Any], store: Store) -> list[Change]:
    """What changed in a step itself."""
    return [
        *_code(old["code"], new["code"], store),
        *(Change("parameter", *row) for row in _differing(_flat(old["params"]), _flat(new["params"]))),
        *_environment(old["environment"], new["environment"], store),
    ]


def _differing(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name) or (name in old) != (name in new):
            yield name, old.get(name), new.get(name)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted name; a list is a value, because its order means something."""
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{name}" if prefix else name)
    return flat


def _labelled(given: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Inputs by a label for people: the name under which a step reads it, and what it is."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        for item in value if isinstance(value, list) else [value]:
            found[f"{name}: {item['artifact']}{'/' if item['path'] else ''}{item['path']}"] = item
    return found


def _code(old: dict[str, str], new: dict[str, str], store: Store) -> Iterator[Change]:
    for module, before, after in _differing(old, new):
        known = store.load_description("definitions", before or ""), store.load_description("definitions", after or "")
        inner = list(_differing(*known)) if all(known) else []
        for name, was, now in inner or [("", before, after)]:
            # a class differs whenever one of its methods does: the methods alone are named
            if not any(other.startswith(f"{name}.") for other, _, _ in inner if name):
                yield Change("code", f"{module}{f': {name}' if name else ''}", was, now)


def _environment(old: dict[str, str], new: dict[str, str], store: Store) -> Iterator[Change]:
    if old == new:
        return
    packages = (
        store.load_description("environments", old["digest"]),
        store.load_description("environments", new["digest"]),
    )
    inner = list(_differing(*packages)) if all(packages) else []
    for name, was, now in inner:
        yield Change("environment", f"{new['name']}: {name}", was, now)
    if not inner:
        other = old["name"] != new["name"]
        yield Change("environment", new["name"], *(_known_as(side, with_name=other) for side in (old, new)))


def _known_as(environment: dict[str, str], with_name: bool) -> str:
    """An environment's digest, with what else tells it from another."""
    inside = f", {environment['python']}" if "python" in environment else ""
    return f"{environment['name'] + ' ' if with_name else ''}{environment['digest']}{inside}"


def causes(
    makers: ActionIndex,
    artifact: str,
    old: dict[str, Any],
    current: dict[str, dict[str, Any]],
    known: dict[str, str],
) -> list[Cause]:
    """Where the changes that reach an artifact began.

    Args:
        makers: to look up what made an input that the old action names.
        artifact: the artifact asked about.
        old: the action that made it.
        current: today's actions by artifact name, as far as they are known.
        known: digests of the actions that made what stands beside the old artifact, by artifact name: of several
            steps that made the same bytes, the one to compare with.

    Returns:
        The artifacts that changed in themselves (code, parameters, environment), with the shortest way to each for each
        input of ``old`` that leads there, nearest first.
    """
    found: list[Cause] = []
    waiting: list[tuple[tuple[str, ...], dict[str, Any]]] = [((artifact,), old)]
    seen = set()
    while waiting:
        path, before = waiting.pop(0)
        name = path[-1]
        if (path[1:2], name) in seen or name not in current:
            continue
        seen.add((path[1:2], name))
        own = tuple(_own(before, current[name], makers.store))
        if own:
            found.append(Cause(name, path, own))
        for item in inputs(before):
            maker = _maker(makers, item, current.get(item["artifact"]), known)
            if maker is not None:
                waiting.append(((*path, item["artifact"]), maker))
    return found


def _maker(
    makers: ActionIndex, item: dict[str, str], current: dict[str, Any] | None, known: dict[str, str]
) -> dict[str, Any] | None:
    """The action that made an input, if it is not today's; the latest of several between which nothing tells."""
    options = makers.of(item)
    if not options or current in [makers.entries[option]["action"] for option in options]:
        return None
    beside = known.get(item["artifact"])
    found: dict[str, Any] = makers.entries[beside if beside in options else makers.latest(options)]["action"]
    return found


def table(
    old: dict[str, Any], new: dict[str, Any], today: dict[str, Any], found: list[Cause], store: Store
) -> list[Row]:
    """Everything that an action consists of: what changed, and in few words what is the same.

    Args:
        old: the action that made the artifact.
        new: today's action; its inputs do not count.
        today: today's inputs as an action writes them, with None for a digest that only a run will tell.
        found: from ``causes``.
        store: to look up what digests mean.
    """
    rows: list[Row] = []
    own, packages = _own(old, new, store), store.load_description("environments", new["environment"]["digest"])
    words = {
        "code": f"{new['script']}, {len(new['code'])} files",
        "parameter": f"all {len(_flat(new['params']))}" if new["params"] else "none",
        "environment": f"{new['environment']['name']}, {f'{len(packages)} packages' if packages else 'by digest'}",
    }
    for kind, same in words.items():
        changed = [change for change in own if change.kind == kind]
        rows += [Row(kind, change.name, Same.CHANGED, change.old, change.new) for change in changed]
        rows += [] if changed else [Row(kind, same, Same.SAME)]
    return rows + _inputs(_labelled(old["inputs"]), _labelled(today), found)


def _inputs(was: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]], found: list[Cause]) -> list[Row]:
    rows, same = [], []
    for label in sorted(was.keys() | now.keys()):
        before, after = was.get(label), now.get(label)
        old, new = before and before["digest"], after and after["digest"]
        if old == new:
            same.append(Row("input", label, Same.SAME, old, new))
            continue
        artifact = (before or after or {})["artifact"]
        began = {cause.artifact: None for cause in found if cause.path[1:2] == (artifact,)}
        waits = after is not None and new is None
        rows.append(Row("input", label, Same.WAITS if waits else Same.CHANGED, old, new, tuple(began)))
    if len(same) > SHOWN:
        same = [Row("input", f"{'all' if not rows else 'the other'} {len(same)}", Same.SAME)]
    return rows + same
