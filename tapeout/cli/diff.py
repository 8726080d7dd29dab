"""``tapeout diff``: what differs between two artifacts, two actions or two runs, and on which leaf it began."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from rich.table import Table

from tapeout.cli import differences, output
from tapeout.compare import result_sets
from tapeout.compare.file_comparison import Level, counted
from tapeout.compare.levels import compare
from tapeout.compare.result_sets import ArtifactDifference, ResultSet
from tapeout.compare.values import ValueChange, ValuesDetail
from tapeout.config.comparison import Bounds, read
from tapeout.errors import TapeoutError
from tapeout.graph.address import DIGEST_PREFIX, LocatedArtifact, locate
from tapeout.graph.files import report_disk_full
from tapeout.graph.plan.explain import Change
from tapeout.graph.plan.explain import compare as compare_actions
from tapeout.graph.workspace import Workspace

RESULTS = "results"
DEFAULTS = Path("config/default.yaml")
BY = {"code": "place~ in the code", "parameter": "parameter~", "environment": "package~", "input": "input~"}


class UnlikeThings(TapeoutError):
    """Two things of different kinds cannot be compared."""


class NotReadable(TapeoutError):
    """A file of an artifact is missing, or this user may not read it."""


class UnknownAction(TapeoutError):
    """The store does not know what made an artifact."""


@dataclass(frozen=True)
class _Setting:
    """Where and how to compare; ``limit`` is how many differences of each kind are shown, None for all."""

    workspace: Workspace
    bounds: Bounds
    scratch: Path
    limit: int | None


def diff(old: str, new: str, limit: int, actions: bool, configs: list[Path], as_json: bool) -> int:
    """Compare what two addresses name; returns 0 if it is the same, byte for byte, else 1.

    Args:
        old, new: two runs (``@NAME``, or ``results`` for what lies there), or two artifacts (``graph.address``).
        limit: differences shown of each file, and of each set of numbers.
        actions: show what differs between the actions that made the artifacts; two digests of actions ask for it too.
        configs: laid over the default configuration; their section ``comparison`` is read.
        as_json: print everything as JSON.

    Raises:
        UnlikeThings: one is a run and the other an artifact.
        UnknownAction: the actions are asked for and the store does not have them.
        NotReadable: a file is missing or protected.
    """
    workspace = Workspace.here()
    runs = [address for address in (old, new) if _is_run(address)]
    if len(runs) == 1:
        other = new if runs[0] == old else old
        fix = f"Name two runs, or two artifacts, such as {other}@NAME."
        raise UnlikeThings(f"{runs[0]} is a run and {other} is not.", fix)
    bounds = read([DEFAULTS, *configs])
    try:
        with report_disk_full(), _scratch(workspace) as folder:
            setting = _Setting(workspace, bounds, Path(folder), None if as_json else limit)
            value, parts = _runs(setting, old, new) if runs else _artifacts(setting, old, new, actions)
    except OSError as error:
        fix = "Correct its permissions; what is missing from the store is found by: tapeout verify --deep"
        raise NotReadable(f"{error.filename} cannot be read: {error.strerror}.", fix) from error
    output.show(value, as_json, *parts)
    return 0 if value["same"] else 1


def _is_run(address: str) -> bool:
    return address == RESULTS or address.startswith("@")


def _scratch(workspace: Workspace) -> tempfile.TemporaryDirectory[str]:
    """A folder for what must be unpacked: beside the store, or where the system keeps such things."""
    with contextlib.suppress(OSError):
        workspace.work.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=workspace.work if os.access(workspace.work, os.W_OK) else None)


# -- two artifacts, or two actions -------------------------------------------------------------------------------------


def _artifacts(setting: _Setting, old: str, new: str, actions: bool) -> tuple[dict[str, Any], list[Any]]:
    store = setting.workspace.store
    before, after = locate(setting.workspace, old), locate(setting.workspace, new)
    value: dict[str, Any] = {"old": old, "new": new, "same": True}
    parts: list[Any] = []
    actions = actions or all(_names_action(place) for place in (before, after))
    if actions:
        changes = _action_changes(setting.workspace, before, after)
        value |= {"actions": changes, "same": not changes}
        words = "The actions are the same." if not changes else f"The actions differ: {_by(changes)}."
        parts += [words, *([differences.actions(changes, "", setting.limit)] if changes else [])]
    found = compare(before, after, setting.bounds, setting.scratch, setting.limit)
    value |= {"level": found.level, "same_files": found.same, "files": found.files}
    value["same"] = value["same"] and found.level is Level.BYTES
    if found.level is Level.BYTES:
        return value, [*parts, differences.line(f"{old} and {new} are the same, byte for byte.")]
    words = counted((len(found.files), "file~ different"), (found.same, "file~ the same"))
    parts += [differences.line(f"{old} → {new}: {words}; level: {found.level}."), ""]
    name = after.manifest.artifact
    if before.manifest.action and after.manifest.action:
        lineages = result_sets.behind(store, before.manifest), result_sets.behind(store, after.manifest)
        leaves = [each for each in result_sets.differences(store, *lineages) if each.is_leaf]
        value["began"] = leaves
        parts += _leaves([each for each in leaves if not (actions and each.artifact == name)], setting.limit)
    return value, [*parts, *differences.files(found, name, setting.limit)]


def _names_action(place: LocatedArtifact) -> bool:
    """Whether an address is the digest of an action, and not of an artifact."""
    return DIGEST_PREFIX.fullmatch(place.address) is not None and place.manifest.action.startswith(place.address)


def _action_changes(workspace: Workspace, old: LocatedArtifact, new: LocatedArtifact) -> list[Change]:
    def action(place: LocatedArtifact) -> dict[str, Any]:
        entry = workspace.store.read_entry(place.manifest.action) if place.manifest.action else None
        if entry is None:
            raise UnknownAction(f"The store does not know what made {place.address}.", "Compare without --actions.")
        found: dict[str, Any] = entry["action"]
        return found

    return compare_actions(action(old), action(new), workspace.store)


# -- two runs ----------------------------------------------------------------------------------------------------------


def _runs(setting: _Setting, old: str, new: str) -> tuple[dict[str, Any], list[Any]]:
    found = result_sets.differences(setting.workspace.store, _set(setting, old), _set(setting, new))
    differing = [each for each in found if each.state != "same"]
    numbers = {
        each.artifact: _numbers(setting, each.artifact, old, new) for each in differing if each.state == "changed"
    }
    numbers = {name: changes for name, changes in numbers.items() if changes}
    value = {"old": old, "new": new, "same": not differing, "artifacts": found, "numbers": numbers}
    same = [each for each in found if each.state == "same"]
    others = sum(1 for each in same if each.changes)
    words = counted((len(differing), "artifact~ different"), (len(same), "artifact~ the same"))
    words += f" ({others:,} of them by another action)" if others else ""
    parts: list[Any] = [differences.line(f"{old} → {new}: {words}."), ""]
    if differing:
        shown = differing[: setting.limit]
        rows = [[each.artifact, (each.old or "-")[:8], (each.new or "-")[:8], _how(each)] for each in shown]
        parts.append(differences.table(["artifact", "old", "new", "why"], rows, more=len(differing) - len(shown)))
    parts += _leaves([each for each in differing if each.is_leaf], setting.limit)
    for name, changes in list(numbers.items())[: setting.limit]:
        parts.append(differences.values(changes[: setting.limit], f"numbers of {name}", len(changes)))
    return value, parts


def _set(setting: _Setting, address: str) -> ResultSet:
    if address == RESULTS:
        return result_sets.current(setting.workspace)
    return result_sets.in_run(setting.workspace, address.removeprefix("@"))


def _numbers(setting: _Setting, artifact: str, old: str, new: str) -> list[ValueChange]:
    """The numbers that changed in an artifact that is a JSON file or has a ``report.json``; those in lists last."""
    before, after = (
        _only_report(locate(setting.workspace, artifact + (run if run != RESULTS else ""))) for run in (old, new)
    )
    if not (before.manifest.entries and after.manifest.entries):
        return []
    found = compare(before, after, setting.bounds, setting.scratch, limit=None)
    details = [each.detail for each in found.files if isinstance(each.detail, ValuesDetail)]
    changes = [change for detail in details for change in detail.changes]
    return [change for change in changes if change.delta is not None]


def _only_report(place: LocatedArtifact) -> LocatedArtifact:
    entries = [
        entry
        for entry in place.manifest.entries
        if PurePosixPath(entry.path or place.manifest.artifact).suffix == ".json"
        and PurePosixPath(entry.path).name in ("", "report.json")
    ]
    return replace(place, manifest=replace(place.manifest, entries=tuple(entries)))


# -- where it began ----------------------------------------------------------------------------------------------------


def _leaves(leaves: list[ArtifactDifference], limit: int | None) -> Iterator[Table]:
    for each in leaves[:limit]:
        if each.own:
            place = "The change began at" if each.began else "Changed in itself, too:"
            yield differences.actions(each.own, f"{place} {each.artifact}", limit)
        else:
            yield differences.line(
                f"The change began at {each.artifact}: the same action gave other bytes. Its program is not "
                "deterministic, or depends on something that it does not declare."
            )


def _how(each: ArtifactDifference) -> str:
    if each.state != "changed":
        return each.state
    return ("began here: " if each.began else "") + (_by(each.changes) or "the same action")


def _by(changes: list[Change] | tuple[Change, ...]) -> str:
    return counted(*((sum(change.kind == kind for change in changes), words) for kind, words in BY.items()))
