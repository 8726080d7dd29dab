"""Why a step runs, or does not: what differs between two actions, and on which leaf of the graph the change began."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tapeout.graph.action import Recipe
from tapeout.graph.closure import definitions
from tapeout.graph.environment import Environment
from tapeout.graph.store import Store

KINDS = ("code", "parameter", "environment", "input")


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


def keep_meanings(store: Store, recipe: Recipe, environment: Environment) -> None:
    """Keep what the digests of code and environment stand for, so that a change of them can be named later."""
    store.remember("environments", environment.digest, lambda: dict(environment.packages))
    for name, digest in recipe.code.items():
        if name.endswith(".py"):
            store.remember("definitions", digest, partial(definitions, Path(name)))


def compare(old: dict[str, Any], new: dict[str, Any], store: Store) -> list[Change]:
    """All differences between two actions (the values that ``Action`` holds), in the order of ``KINDS``."""
    return [
        *_code(old["code"], new["code"], store),
        *(Change("parameter", *row) for row in _differing(_flat(old["params"]), _flat(new["params"]))),
        *_environment(old["environment"], new["environment"], store),
        *(Change("input", *row) for row in _differing(_digests(old["inputs"]), _digests(new["inputs"]))),
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


def _digests(inputs: dict[str, Any]) -> dict[str, str]:
    """Digest of each input by name; the members of a list by the artifact's name."""
    found: dict[str, str] = {}
    for name, value in inputs.items():
        if isinstance(value, list):
            found |= {f"{name}: {_label(item)}": item["digest"] for item in value}
        else:
            found[f"{name}: {_label(value)}"] = value["digest"]
    return found


def _label(item: dict[str, str]) -> str:
    return f"{item['artifact']}/{item['path']}" if item["path"] else item["artifact"]


def _code(old: dict[str, str], new: dict[str, str], store: Store) -> Iterator[Change]:
    for module, before, after in _differing(old, new):
        known = store.recall("definitions", before or ""), store.recall("definitions", after or "")
        inner = list(_differing(*known)) if all(known) else []
        for name, was, now in inner or [("", before, after)]:
            # a class differs whenever one of its methods does: the methods alone are named
            if not any(other.startswith(f"{name}.") for other, _, _ in inner if name):
                yield Change("code", f"{module}{f': {name}' if name else ''}", was, now)


def _environment(old: dict[str, str], new: dict[str, str], store: Store) -> Iterator[Change]:
    if old == new:
        return
    packages = store.recall("environments", old["digest"]), store.recall("environments", new["digest"])
    inner = list(_differing(*packages)) if all(packages) else []
    for name, was, now in inner:
        yield Change("environment", f"{new['name']}: {name}", was, now)
    if not inner:
        yield Change("environment", new["name"], old["digest"], new["digest"])


def causes(store: Store, artifact: str, old: dict[str, Any], current: dict[str, dict[str, Any]]) -> list[Cause]:
    """Where the changes that reach an artifact began.

    Args:
        store: to look up what made an input that the old action names.
        artifact: the artifact asked about.
        old: the action that made it.
        current: today's actions by artifact name, as far as they are known.

    Returns:
        The artifacts that changed in themselves (code, parameters, environment), with the way to each, nearest first.
    """
    makers = {
        (entry["manifest"]["artifact"], entry["manifest"]["digest"]): entry["action"] for _, entry in store.entries()
    }
    found: list[Cause] = []
    waiting: list[tuple[tuple[str, ...], dict[str, Any]]] = [((artifact,), old)]
    seen = set()
    while waiting:
        path, before = waiting.pop(0)
        name = path[-1]
        if name in seen or name not in current:
            continue
        seen.add(name)
        changes = compare(before, current[name], store)
        own = tuple(change for change in changes if change.kind != "input")
        if own:
            found.append(Cause(name, path, own))
        for needed, digest in _whole_inputs(before, store):
            maker = makers.get((needed, digest))
            if maker is not None and maker != current.get(needed):
                waiting.append(((*path, needed), maker))
    return found


def _whole_inputs(action: dict[str, Any], store: Store) -> Iterator[tuple[str, str]]:
    """Artifacts that an action read, with the digest of each as a whole (an action may name a part of one)."""
    by_part: dict[tuple[str, str, str], str] = {}
    for _, entry in store.entries():
        manifest = entry["manifest"]
        for file in manifest["files"]:
            by_part[(manifest["artifact"], file["path"], file["digest"])] = manifest["digest"]
        by_part[(manifest["artifact"], "", manifest["digest"])] = manifest["digest"]
    for value in action["inputs"].values():
        for item in value if isinstance(value, list) else [value]:
            whole = by_part.get((item["artifact"], item["path"], item["digest"]))
            if whole is not None:
                yield item["artifact"], whole
