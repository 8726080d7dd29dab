"""``tapeout diff``: differences between two artifacts, actions or runs, and the artifact in which they originate."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import typer
from rich.table import Table

from tapeout.cli import diff_tables, output
from tapeout.cli.options import AsJson, ConfigFiles, InvalidUse, addresses, refuse
from tapeout.cli.project import choose, load
from tapeout.compare import result_sets
from tapeout.compare.artifacts import compare
from tapeout.compare.file_comparison import Level, Unreadable, counted
from tapeout.compare.result_sets import ArtifactDifference, ResultSet
from tapeout.compare.values import ValueChange, ValuesDetail
from tapeout.config.comparison import Bounds
from tapeout.config.load import load_bounds
from tapeout.graph.address import DIGEST_PREFIX, RESULTS, LocatedArtifact, locate
from tapeout.graph.errors import UnknownName
from tapeout.graph.files import report_disk_errors
from tapeout.graph.plan.explain import Change
from tapeout.graph.plan.explain import compare as compare_actions
from tapeout.graph.workspace import Workspace

KINDS = {"code": "code definition~", "parameter": "parameter~", "environment": "package~", "input": "input~"}


@dataclass(frozen=True)
class _Setting:
    """Settings of a comparison.

    Attributes:
        workspace: results, named runs and store.
        configfile: files of ``--configfile``.
        bounds: how much numbers may differ.
        scratch: temporary folder.
        limit: differences shown of each kind; None for all.
    """

    workspace: Workspace
    configfile: list[Path] | None
    bounds: Bounds
    scratch: Path
    limit: int | None


def diff(
    context: typer.Context,
    old: Annotated[
        str,
        typer.Argument(
            metavar="OLD", help="sft/model, sft/model@RUN, ./path, a digest, or @RUN.", autocompletion=addresses
        ),
    ],
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="The same kind; results is the current run.", autocompletion=addresses)
    ],
    limit: Annotated[int, typer.Option("--limit", min=1, help="Differences shown of each kind.")] = 20,
    actions: Annotated[bool, typer.Option("--actions", help="Also compare the actions of two artifacts.")] = False,
    as_json: AsJson = False,
    configfile: ConfigFiles = None,
) -> None:
    """Compare two artifacts, actions or runs.

    Shows rows, tensors, tokenizer pieces, numbers and lines that differ, and the artifact in which the difference
    originates. Bounds are read from the section "comparison" of the configuration. Of results/, the artifacts of the
    configuration are compared with a run, and those of other configurations are listed.

    Exit code 0 if both are the same, byte for byte, else 1.
    """
    if as_json:
        refuse(context, ["limit"], "with --json, which prints every difference", "Leave one of them out.")
    workspace = Workspace.here()
    runs = [address for address in (old, new) if _is_run(address)]
    if len(runs) == 1:
        other = new if runs[0] == old else old
        fix = f"Name two runs, or two artifacts, such as {other}@NAME."
        raise InvalidUse(f"{runs[0]} is a run and {other} is not.", fix)
    if runs:
        refuse(context, ["actions"], "on runs, whose actions are always compared", "Leave it out.")
    configuration = choose(configfile)
    bounds = load_bounds(configuration.files)
    try:
        with report_disk_errors(), _scratch(workspace) as folder:
            setting = _Setting(workspace, configfile, bounds, Path(folder), None if as_json else limit)
            value, parts = _runs(setting, old, new) if runs else _artifacts(setting, old, new, actions)
    except OSError as error:
        fix = "Correct its permissions; to find what is missing from the store: tapeout verify --deep"
        raise Unreadable(f"{error.filename} cannot be read: {error.strerror}.", fix) from error
    output.show(value, as_json, *parts, configuration=configuration)
    raise typer.Exit(0 if value["same"] else 1)


def _is_run(address: str) -> bool:
    return address == RESULTS or address.startswith("@")


def _scratch(workspace: Workspace) -> tempfile.TemporaryDirectory[str]:
    """Return a folder for unpacked archives: in the work folder if it can be written, else in the system's."""
    with contextlib.suppress(OSError):
        workspace.work.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=workspace.work if os.access(workspace.work, os.W_OK) else None)


# -- two artifacts, or two actions -------------------------------------------------------------------------------------


def _artifacts(setting: _Setting, old: str, new: str, actions: bool) -> tuple[dict[str, Any], list[Any]]:
    before, after = locate(setting.workspace, old), locate(setting.workspace, new)
    value: dict[str, Any] = {"old": old, "new": new, "same": True}
    parts: list[Any] = []
    actions = actions or all(_is_action_digest(artifact) for artifact in (before, after))
    if actions:
        changes = _action_changes(setting.workspace, before, after)
        value |= {"actions": changes, "same": not changes}
        parts.append(f"The actions differ: {_counts(changes)}." if changes else "The actions are the same.")
        parts += [diff_tables.actions(changes, "", setting.limit)] if changes else []
    comparison = compare(before, after, setting.bounds, setting.scratch, setting.limit)
    value |= {"level": comparison.level, "same_files": comparison.same, "files": comparison.files}
    value["same"] = value["same"] and comparison.level is Level.BYTES
    if comparison.level is Level.BYTES:
        return value, [*parts, diff_tables.line(f"{old} and {new} are the same, byte for byte.")]
    counts = counted((len(comparison.files), "file~ different"), (comparison.same, "file~ the same"))
    parts += [diff_tables.line(f"{old} → {new}: {counts}; level: {comparison.level}."), ""]
    name = after.manifest.artifact
    if before.manifest.action and after.manifest.action:
        store = setting.workspace.store
        lineages = result_sets.lineage(store, before.manifest), result_sets.lineage(store, after.manifest)
        origins = [artifact for artifact in result_sets.differences(store, *lineages) if artifact.changed_itself]
        value["origins"] = origins
        shown = [artifact for artifact in origins if not (actions and artifact.artifact == name)]
        parts += _origins(shown, setting.limit)
    return value, [*parts, *diff_tables.files(comparison, name, setting.limit)]


def _is_action_digest(artifact: LocatedArtifact) -> bool:
    address = artifact.address
    return DIGEST_PREFIX.fullmatch(address) is not None and artifact.manifest.action.startswith(address)


def _action_changes(workspace: Workspace, old: LocatedArtifact, new: LocatedArtifact) -> list[Change]:
    def action(artifact: LocatedArtifact) -> dict[str, Any]:
        entry = workspace.store.read_entry(artifact.manifest.action) if artifact.manifest.action else None
        if entry is None:
            raise UnknownName(f"The store has no action of {artifact.address}.", "Compare without --actions.")
        value: dict[str, Any] = entry["action"]
        return value

    return compare_actions(action(old), action(new), workspace.store)


# -- two runs ----------------------------------------------------------------------------------------------------------


def _runs(setting: _Setting, old: str, new: str) -> tuple[dict[str, Any], list[Any]]:
    sets, others = _result_sets(setting, old, new)
    artifacts = result_sets.differences(setting.workspace.store, sets[old], sets[new])
    differing = [artifact for artifact in artifacts if artifact.state != "same"]
    changed = [artifact.artifact for artifact in differing if artifact.state == "changed"]
    numbers = {name: changes for name in changed if (changes := _numbers(setting, name, old, new))}
    value = {"old": old, "new": new, "same": not differing, "artifacts": artifacts, "numbers": numbers}
    value["not_compared"] = others
    same = [artifact for artifact in artifacts if artifact.state == "same"]
    counts = counted((len(differing), "artifact~ different"), (len(same), "artifact~ the same"))
    if rebuilt := sum(1 for artifact in same if artifact.changes):
        counts += f" ({rebuilt:,} of them by another action)"
    parts: list[Any] = [diff_tables.line(f"{old} → {new}: {counts}."), ""]
    if differing:
        shown = differing[: setting.limit]
        rows = [[row.artifact, (row.old or "-")[:8], (row.new or "-")[:8], _reason(row)] for row in shown]
        parts.append(diff_tables.table(["artifact", "old", "new", "reason"], rows, more=len(differing) - len(shown)))
    parts += _origins([artifact for artifact in differing if artifact.changed_itself], setting.limit)
    for name, changes in list(numbers.items())[: setting.limit]:
        parts.append(diff_tables.values(changes[: setting.limit], f"numbers of {name}", len(changes)))
    if others:
        parts.append(diff_tables.line(f"Not of this configuration, and not compared: {', '.join(others)}."))
    return value, parts


def _result_sets(setting: _Setting, *addresses: str) -> tuple[dict[str, ResultSet], list[str]]:
    """Return the results by address, and the artifacts in results/ that belong to other configurations.

    Results without a workflow, such as a copy for an auditor, are compared as they are.
    """
    runs = [address for address in addresses if address != RESULTS]
    sets = {address: result_sets.in_run(setting.workspace, address.removeprefix("@")) for address in runs}
    if len(runs) == len(addresses):
        return sets, []
    current = result_sets.current(setting.workspace)
    graph = set(load(setting.configfile).graph) if Path("Snakefile").is_file() else current.keys()
    sets[RESULTS] = {name: result for name, result in current.items() if name in graph}
    return sets, sorted(current.keys() - graph)


def _numbers(setting: _Setting, name: str, old: str, new: str) -> list[ValueChange]:
    """Return changed numbers of an artifact that is a JSON file or has a ``report.json``; those in lists last."""
    before, after = (
        _only_report(locate(setting.workspace, name + (run if run != RESULTS else ""))) for run in (old, new)
    )
    if not (before.manifest.entries and after.manifest.entries):
        return []
    comparison = compare(before, after, setting.bounds, setting.scratch, limit=None)
    details = [file.detail for file in comparison.files if isinstance(file.detail, ValuesDetail)]
    return [change for detail in details for change in detail.changes if change.delta is not None]


def _only_report(artifact: LocatedArtifact) -> LocatedArtifact:
    entries = [
        entry
        for entry in artifact.manifest.entries
        if PurePosixPath(entry.path or artifact.manifest.artifact).suffix == ".json"
        and PurePosixPath(entry.path).name in ("", "report.json")
    ]
    return replace(artifact, manifest=replace(artifact.manifest, entries=tuple(entries)))


# -- origins -----------------------------------------------------------------------------------------------------------


def _origins(artifacts: list[ArtifactDifference], limit: int | None) -> Iterator[Table]:
    for artifact in artifacts[:limit]:
        if artifact.own_changes:
            title = "The change originates in" if artifact.is_origin else "Also changed in itself:"
            yield diff_tables.actions(artifact.own_changes, f"{title} {artifact.artifact}", limit)
        else:
            yield diff_tables.line(
                f"The change originates in {artifact.artifact}: the same action produced other bytes. Its program is "
                "not deterministic, or reads something that its rule does not declare."
            )


def _reason(artifact: ArtifactDifference) -> str:
    if artifact.state != "changed":
        return artifact.state
    return ("origin: " if artifact.is_origin else "") + (_counts(artifact.changes) or "the same action")


def _counts(changes: list[Change] | tuple[Change, ...]) -> str:
    return counted(*((sum(change.kind == kind for change in changes), noun) for kind, noun in KINDS.items()))
