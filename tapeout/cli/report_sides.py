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
from tapeout.graph.store.store import Store
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
STORE = "store"
"""Default store of a project, in its folder."""
FILE = "report.json"
"""File of a report that names its action."""
SHOWN = 60
"""Characters of a value that an error names."""


@dataclass(frozen=True)
class Loaded:
    """A side with everything upstream of it, by the names that the artifacts have without a sweep, and their store."""

    side: Side
    upstream: ResultSet
    store: Store


def load(workspace: Workspace, name: str) -> Loaded:
    """Find a report or a variant, and its results.

    Args:
        workspace: results, named runs and store.
        name: ``results``, ``@RUN``, ``sweep/VARIANT``, ``sweep/VARIANT@RUN``, or the path of a report, of its
            ``report.json``, or of the results or project that it is in, with a leading ``./``, ``../`` or ``/``.

    Raises:
        InvalidUse: the name is none of these.
        UnknownName: there is no such report or variant, its file was altered, or the store does not have all of its
            results any more.
    """
    plain, at, run = name.partition("@")
    if name.startswith(("./", "../", "/")):
        return _report(name, *_in_store_of_file(workspace, Path(name)))
    if plain.startswith(f"{FOLDER}/"):
        return _variant(name, plain.removeprefix(f"{FOLDER}/"), *_in_store(workspace, name, SWEEP + at + run))
    if name == RESULTS or not plain:
        return _report(name, *_in_store(workspace, name, REPORT + ("" if name == RESULTS else name)))
    raise InvalidUse(
        f"{name} is not a report.",
        "Name @RUN (tapeout runs list shows them), results, sweep/VARIANT, or ./PATH of a report's folder.",
    )


def _stores(workspace: Workspace, path: Path) -> Iterator[Store]:
    """Yield the store of this project, then that of each project that a path is in, the nearest first."""
    yield workspace.store
    for folder in (path.absolute(), *path.absolute().parents):
        if (folder / STORE / "actions").is_dir():
            yield replace(workspace.store, root=folder / STORE)


def _in_store(workspace: Workspace, name: str, text: str) -> tuple[Store, Manifest]:
    """Return the manifest of an artifact of this project and the store that has its action."""
    reasons = []
    for store in _stores(workspace, Path()):
        try:
            manifest = locate(replace(workspace, store=store), text).manifest
        except UnknownName as error:
            reasons.append(error)
            continue
        if store.find(manifest.action) is not None:
            return store, manifest
    raise reasons[0] if reasons else _lost(name, text)


def _in_store_of_file(workspace: Workspace, path: Path) -> tuple[Store, Manifest]:
    """Return the manifest of a report by a file of it, and the store that has its action, if the bytes are its.

    The comparison is computed from results of the store, so an altered file would not be compared, but seem so.
    """
    with report_disk_errors():
        inside = [path, *(path / folder / FILE for folder in ("", REPORT, f"{RESULTS}/{REPORT}"))]
        found = next((file for file in inside if file.is_file()), None)
        if found is None:
            raise UnknownName(
                f"There is no report {path}.", f"Name a folder with {FILE}, that file, or the results that it is in."
            )
        path = found
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
    stores = list(_stores(workspace, path))
    store, manifest = next(((one, known) for one in stores if (known := one.find(action)) is not None), (None, None))
    if store is None or manifest is None:
        searched = ", ".join(str(one.root) for one in stores)
        raise UnknownName(
            f"No store has the results that {path} is computed from (action {action[:16]}); searched: {searched}.",
            "Name the report in the project that built it, whose store is found, or set TAPEOUT_STORE to its store.",
        )
    if manifest.artifact != REPORT:
        raise foreign
    if digest_bytes(content) not in (entry.digest for entry in manifest.entries if entry.path == FILE):
        raise UnknownName(
            f"{path} is not as it was built: its SHA-256 is not that in the manifest of action {action[:16]}.",
            "Name an unaltered copy, or the results that it is of: @RUN, or results.",
        )
    return store, manifest


def _report(name: str, store: Store, manifest: Manifest) -> Loaded:
    upstream = result_sets.lineage(store, manifest)
    job = read_known(f"The report of {name}", _action(name, upstream, REPORT)["params"], ReportJob)
    evaluations = {key: _file(store, name, upstream, artifact) for key, artifact in evaluations_of(job).items()}
    logs = _logs(store, upstream, dict(job.models))
    return Loaded(side_of_report(name, job, evaluations, logs), upstream, store)


def _variant(name: str, choices: str, store: Store, manifest: Manifest) -> Loaded:
    """Load a variant; its choices may be in any order."""
    every = result_sets.lineage(store, manifest)
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
        (job.model, task): _file(store, name, upstream, unscoped(artifact))
        for task, artifact in zip(tasks, results, strict=True)
    }
    logs = _logs(store, upstream, {job.model: unscoped(model)})
    return Loaded(side_of_variant(name, job, evaluations, logs), upstream, store)


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


def _file(store: Store, name: str, upstream: ResultSet, artifact: str) -> Path:
    if artifact not in upstream:
        raise _lost(name, artifact)
    return store.object_path(upstream[artifact].manifest.entries[0])


def _lost(name: str, artifact: str) -> UnknownName:
    return UnknownName(f"The store does not have {artifact} of {name} any more.", "Build it again, and compare then.")


def _logs(store: Store, upstream: ResultSet, models: Mapping[str, str]) -> dict[str, TrainLog]:
    """Return the training logs of models that have one, by model."""

    def files() -> Iterator[tuple[str, Path]]:
        for model, artifact in models.items():
            for entry in upstream[artifact].manifest.entries if artifact in upstream else ():
                if entry.path == LOG:
                    yield model, store.object_path(entry)

    return {model: read_input(path, TrainLog) for model, path in files()}
