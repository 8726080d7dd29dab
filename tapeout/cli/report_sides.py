"""Sides of ``tapeout compare``: reports and variants of sweeps, found by their names, with everything upstream."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from tapeout.cli.options import InvalidUse
from tapeout.combinations import FOLDER, join, split, unscoped
from tapeout.compare import result_sets
from tapeout.compare.result_sets import Result, ResultSet
from tapeout.errors import did_you_mean
from tapeout.graph.address import RESULTS, locate
from tapeout.graph.errors import UnknownName
from tapeout.graph.files import read_file, report_disk_errors
from tapeout.graph.identity.digest import digest_bytes
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.workspace import Workspace
from tapeout.report.comparison.sides import (
    ReportJob,
    Side,
    VariantsJob,
    evaluations_of,
    read_known,
    side_of_report,
    side_of_variant,
)
from tapeout.report.evaluation.document import SCHEMA
from tapeout.report.evaluation.inputs import LOG, TrainLog, read_input

REPORT, SWEEP = "eval_report", f"{FOLDER}/report"
REPORTS = (REPORT, SWEEP)
FILE = "report.json"
"""File of a report that names its action."""
SHOWN = 60
"""Characters of a value that an error names."""


@dataclass(frozen=True)
class Loaded:
    """A side with everything upstream of it, by the names that the artifacts have without a sweep."""

    side: Side
    upstream: ResultSet


def load(workspace: Workspace, name: str) -> Loaded:
    """Find a report or a variant, and its results.

    Args:
        workspace: results, named runs and store.
        name: ``results``, ``@RUN``, ``sweep/VARIANT``, ``sweep/VARIANT@RUN``, or the path of a report's folder or of
            its ``report.json``, with a leading ``./``, ``../`` or ``/``.

    Raises:
        InvalidUse: the name is none of these.
        UnknownName: there is no such report or variant, its file was altered, or the store does not have all of its
            results any more.
    """
    plain, at, run = name.partition("@")
    if name.startswith(("./", "../", "/")):
        return _report(workspace, name, _manifest_of_file(workspace, Path(name)))
    if plain.startswith(f"{FOLDER}/"):
        return _variant(workspace, name, plain.removeprefix(f"{FOLDER}/"), locate(workspace, SWEEP + at + run).manifest)
    if name == RESULTS or not plain:
        return _report(workspace, name, locate(workspace, REPORT + ("" if name == RESULTS else name)).manifest)
    raise InvalidUse(
        f"{name} is not a report.",
        "Name @RUN (tapeout runs list shows them), results, sweep/VARIANT, or ./PATH of a report's folder.",
    )


def _manifest_of_file(workspace: Workspace, path: Path) -> Manifest:
    """Return the manifest of a report by a file of it: that of the action that the file names, if the bytes are its.

    The comparison is computed from results of the store, so an altered file would not be compared, but seem so.
    """
    with report_disk_errors():
        path = path / FILE if path.is_dir() else path
        if not path.is_file():
            raise UnknownName(f"There is no report {path}.", f"Name a folder with {FILE}, or that file.")
        content = read_file(path)
    foreign = UnknownName(
        f"{path} is not the {FILE} of an evaluation report.", f"Name the {FILE} that the step {REPORT} wrote."
    )
    try:
        value = orjson.loads(content)
        schema, action = str(value["schema"]), str(value["subject"]["action"])
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise foreign from error
    if schema.partition("/")[0] != SCHEMA.partition("/")[0]:
        raise foreign
    if schema != SCHEMA:
        raise UnknownName(
            f"{path} has the schema {schema[:SHOWN]}, and this version reads {SCHEMA}.",
            "Compare with the version that made it, or build the report again.",
        )
    manifest = workspace.store.find(action)
    if manifest is None:
        raise UnknownName(
            f"The store does not have the results that {path} is computed from (action {action[:16]}).",
            "Compare in the project that built the report, or set TAPEOUT_STORE to its store.",
        )
    if manifest.artifact != REPORT:
        raise foreign
    if digest_bytes(content) not in (entry.digest for entry in manifest.entries if entry.path == FILE):
        raise UnknownName(
            f"{path} is not as it was built: its SHA-256 is not that in the manifest of action {action[:16]}.",
            "Name an unaltered copy, or the results that it is of: @RUN, or results.",
        )
    return manifest


def _report(workspace: Workspace, name: str, manifest: Manifest) -> Loaded:
    upstream = result_sets.lineage(workspace.store, manifest)
    job = read_known(f"The report of {name}", _action(name, upstream, REPORT)["params"], ReportJob)
    evaluations = {key: _file(workspace, name, upstream, artifact) for key, artifact in evaluations_of(job).items()}
    logs = _logs(workspace, upstream, dict(job.models))
    return Loaded(side_of_report(name, job, evaluations, logs), upstream)


def _variant(workspace: Workspace, name: str, choices: str, manifest: Manifest) -> Loaded:
    """Load a variant; its choices may be in any order."""
    every = result_sets.lineage(workspace.store, manifest)
    action = _action(name, every, SWEEP)
    job = read_known(f"The sweep of {name}", action["params"], VariantsJob)
    variant = join(split(choices))
    if variant not in job.variants:
        cause = f"The sweep has no variant {choices}{did_you_mean(variant, job.variants)}"
        raise UnknownName(cause, f"Name one of: {'; '.join(job.variants)}.")
    tasks = [task for task, _, _ in job.tasks]
    number = job.variants.index(variant)
    results = [item["artifact"] for item in action["inputs"]["evaluations"]][number * len(tasks) :][: len(tasks)]
    model = action["inputs"]["models"][number]["artifact"]
    names = set().union(*(result_sets.upstream(every, artifact) for artifact in (*results, model)))
    upstream = {unscoped(artifact): _unscoped(every[artifact]) for artifact in sorted(names)}
    evaluations = {
        (job.model, task): _file(workspace, name, upstream, unscoped(artifact))
        for task, artifact in zip(tasks, results, strict=True)
    }
    logs = _logs(workspace, upstream, {job.model: unscoped(model)})
    return Loaded(side_of_variant(name, job, evaluations, logs), upstream)


def _unscoped(result: Result) -> Result:
    """Return a result whose action names its inputs as without a sweep, so that variants have equal names."""
    if result.action is None:
        return result

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(item) for item in value]
        return {**value, "artifact": unscoped(value["artifact"])}

    inputs = {name: plain(value) for name, value in result.action["inputs"].items()}
    return replace(result, action={**result.action, "inputs": inputs})


def _action(name: str, upstream: ResultSet, artifact: str) -> dict[str, Any]:
    if (action := upstream[artifact].action) is None:
        raise _lost(name, artifact)
    return action


def _file(workspace: Workspace, name: str, upstream: ResultSet, artifact: str) -> Path:
    if artifact not in upstream:
        raise _lost(name, artifact)
    return workspace.store.object_path(upstream[artifact].manifest.entries[0])


def _lost(name: str, artifact: str) -> UnknownName:
    return UnknownName(f"The store does not have {artifact} of {name} any more.", "Build it again, and compare then.")


def _logs(workspace: Workspace, upstream: ResultSet, models: Mapping[str, str]) -> dict[str, TrainLog]:
    """Return the training logs of models that have one, by model."""

    def files() -> Iterator[tuple[str, Path]]:
        for model, artifact in models.items():
            for entry in upstream[artifact].manifest.entries if artifact in upstream else ():
                if entry.path == LOG:
                    yield model, workspace.store.object_path(entry)

    return {model: read_input(path, TrainLog) for model, path in files()}
