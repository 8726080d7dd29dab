"""``tapeout track``: forward the metrics of a training to the trackers of the site."""

import json
from typing import Annotated, Any

import typer

from tapeout.cli import output
from tapeout.cli.options import Artifact, AsJson, ConfigFiles, InvalidUse
from tapeout.cli.project import load
from tapeout.graph.run.forwarding import VARIABLE, Forwarder, TrackerFailed
from tapeout.tracking.journal import Journal


def track(
    artifact: Artifact,
    follow: Annotated[bool, typer.Option("--follow", help="Continue until the training's last step.")] = False,
    as_json: AsJson = False,
    configfile: ConfigFiles = None,
) -> None:
    """Forward the metrics of a training to the trackers that the site file names.

    Each tracker gets the steps that it lacks, during the training or after it. A run forwards by itself; this command
    sends what a tracker missed.

    Exit code 1 if a tracker failed, else 0.
    """
    project = load(configfile)
    recipe = project.recipes[project.resolve(artifact).artifact]
    name, trackers = recipe.artifact, json.loads(project.layer.run_variables.get(VARIABLE, "{}"))
    if not trackers:
        raise InvalidUse("The site file names no tracker.", "Set one under tracking in config/site.yaml.")
    action = project.workspace.action(name).digest
    journal = Journal(project.workspace.metrics_path(action))
    journal.update()
    if journal.total is None:
        raise InvalidUse(f"{name} has no metrics.", f"Only trainings have; run: snakemake {name}")
    run = {"action": action, "name": name, "config": recipe.params}
    rows = _forward(trackers, run, journal, follow)
    output.show(
        {"artifact": name, "action": action, "trackers": rows},
        as_json,
        *(f"{row['tracker']}: {_sentence(row, journal)}" for row in rows),
        configuration=project.configuration,
    )
    raise typer.Exit(1 if any(row["error"] for row in rows) else 0)


def _forward(trackers: dict[str, Any], run: dict[str, Any], journal: Journal, follow: bool) -> list[dict[str, Any]]:
    """Forward to all trackers at the same time; return a row for each."""
    rows: dict[str, dict[str, Any]] = {
        name: {"tracker": name, "forwarded": None, "last": None, "error": ""} for name in sorted(trackers)
    }
    forwarders: list[Forwarder] = []
    for name in rows:
        try:
            forwarders.append(Forwarder(name, trackers[name], run, journal.path))
        except TrackerFailed as error:
            rows[name]["error"] = str(error)
    for forwarder in forwarders if not follow else []:
        forwarder.end()
    for forwarder in forwarders:
        try:
            rows[forwarder.tracker] |= forwarder.result(None)
        except TrackerFailed as error:
            rows[forwarder.tracker]["error"] = str(error)
    return list(rows.values())


def _sentence(row: dict[str, Any], journal: Journal) -> str:
    if row["error"]:
        return str(row["error"])
    return f"{output.count(row['forwarded'], 'step')} forwarded; it has {row['last']:,} of {journal.total:,}."
