"""``tapeout report``: the evaluation report with what was measured while its artifacts were built."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapeout.cli import output
from tapeout.cli.options import AsJson, InvalidUse, addresses, caller_path
from tapeout.cli.written_files import check_folder, write_all
from tapeout.compare import result_sets
from tapeout.compare.result_sets import Result
from tapeout.graph.address import RESULTS, locate
from tapeout.graph.errors import UnknownName
from tapeout.graph.identity.action import Action
from tapeout.graph.plan import rates
from tapeout.graph.store.entry import content_digest
from tapeout.graph.store.trust import read_envelope
from tapeout.graph.workspace import Workspace

if TYPE_CHECKING:
    from tapeout.report.measured.page import Measured

REPORT, PAGE = "eval_report", "report.html"


def report(
    name: Annotated[
        str,
        typer.Argument(metavar="REPORT", help="@RUN, or results for the current run.", autocompletion=addresses),
    ] = RESULTS,
    folder: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", parser=caller_path, help="Also write the page, report.html, here."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what was measured while an evaluation report was built.

    Time, CPU and GPU hours, speed of trainings, machines and signatures of all artifacts that it is computed from.
    With --output also the page of the report with these numbers, which the artifact itself never has.
    """
    if name != RESULTS and not name.startswith("@"):
        raise InvalidUse(f"{name} is not a run.", "Name @RUN (tapeout runs list shows them), or results.")
    workspace = Workspace.here()
    if folder is not None:
        check_folder(workspace, folder, (PAGE,))
    located = locate(workspace, REPORT + ("" if name == RESULTS else name))
    results = result_sets.lineage(workspace.store, located.manifest)
    action = results[REPORT].action
    if action is None:
        raise UnknownName(f"The store does not have the report of {name} any more.", "Run: snakemake eval_report")
    from tapeout.config.report import EvalReportJob
    from tapeout.report.comparison.sides import read_known  # imports numpy, which is slow for all other commands
    from tapeout.report.measured.page import with_measured

    job = read_known(f"The report of {name}", action["params"], EvalReportJob)
    builds = _builds(workspace, results)
    written = []
    if folder is not None:
        entries = {entry.path: entry for entry in located.manifest.entries}
        page = workspace.store.object_path(entries[PAGE]).read_text("utf-8")
        write_all(folder, {PAGE: with_measured(page, job, builds).encode()})
        written = [f"Written: {folder / PAGE}"]
    columns = ["artifact", ">time", ">CPU hours", ">GPU hours", "machine", "vouched for by"]
    output.show([asdict(build) for build in builds], as_json, output.table(columns, map(_row, builds)), *written)


def _row(build: "Measured") -> list[str]:
    vouched = ", ".join(build.vouched) or "the store alone"
    if not build.finished:
        return [build.artifact, "", "", "", "not in the journal", vouched]
    hours = [f"{hours:.3f}" for hours in (build.cpu_hours, build.gpu_hours)]
    return [build.artifact, f"{build.seconds:.1f} s", *hours, build.machine, vouched]


def _builds(workspace: Workspace, results: dict[str, Result]) -> list["Measured"]:
    """Return the latest build of each artifact that gave its bytes, sorted by name."""
    journal = {(line["action"], line.get("digest")): line for line in workspace.store.journal()}
    found = []
    for artifact, result in sorted(results.items()):
        manifest = result.manifest
        found.append(_measured(workspace, artifact, result, journal.get((manifest.action, manifest.digest()))))
    return found


def _measured(workspace: Workspace, artifact: str, result: Result, line: dict[str, Any] | None) -> "Measured":
    from tapeout.report.measured.page import Measured

    manifest, vouched = result.manifest, _vouched(workspace, result)
    if line is None:
        return Measured(artifact, manifest.digest(), vouched=vouched)
    resources, device = line.get("resources", {}), rates.recorded_device(line)
    gpus = rates.gpus_per_node(resources) * max(1, rates.nodes(resources))
    return Measured(
        artifact=artifact,
        digest=manifest.digest(),
        finished=line["finished"],
        seconds=float(line.get("seconds", 0.0)),
        threads=int(line.get("threads", 1)),
        gpus=rates.allocated_gpus(resources),
        machine=device.kind,
        gflop=float(resources.get("gflop") or 0.0),
        peak=gpus * rates.gpu(device.kind).peak if gpus else 0.0,
        vouched=vouched,
    )


def _vouched(workspace: Workspace, result: Result) -> tuple[str, ...]:
    """Return who vouches for an artifact: this folder, and the keys of its signatures, each with whether it counts."""
    trust, manifest = workspace.store.trust, result.manifest
    built = ("this folder",) if trust is not None and trust.was_built(manifest) else ()
    signature = workspace.store.read_signature(manifest.action)
    envelope = read_envelope(signature) if signature is not None else None
    if envelope is None or result.action is None:
        return built
    content = content_digest(Action(result.action), manifest)
    state = "trusted" if trust is not None and trust.has_signed(manifest.action, content, signature) else "not trusted"
    return (*built, *(f"key {keyid[:16]} ({state})" for keyid in sorted(envelope.signatures)))
