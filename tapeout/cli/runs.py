"""``tapeout runs``: sets of results saved under a name."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from tapeout.cli import output
from tapeout.cli.options import AsJson, ConfigFiles, InvalidUse, run_names
from tapeout.cli.project import load
from tapeout.graph import named_runs
from tapeout.graph.workspace import State, Workspace

SHOWN = 3
"""Maximum number of artifacts that a message names."""
FORMER_OPTIONS = {"--pin": "protect", "--unpin": "protect --off", "--remove": "rm", "--json": "list --json"}
"""Options that ``tapeout runs`` had in version 0.1.0, with the subcommands that replace them."""

app = typer.Typer(help="Save, list, protect and remove named runs.", rich_markup_mode=None)
Runs = Annotated[list[str], typer.Argument(metavar="RUN", help="Names of runs.", autocompletion=run_names)]


@app.callback(invoke_without_command=True, no_args_is_help=True)
def _former_options(
    pin: Annotated[str, typer.Option(hidden=True)] = "",
    unpin: Annotated[str, typer.Option(hidden=True)] = "",
    remove: Annotated[str, typer.Option(hidden=True)] = "",
    as_json: Annotated[bool, typer.Option("--json", hidden=True)] = False,
) -> None:
    """Refuse the options that the group had before it had subcommands."""
    for option, given in zip(FORMER_OPTIONS, (pin, unpin, remove, as_json), strict=True):
        if given:
            raise InvalidUse(
                f'"tapeout runs {option}" is now "tapeout runs {FORMER_OPTIONS[option]}".', "See: tapeout runs --help"
            )


@app.command()
def save(
    name: Annotated[str, typer.Argument(metavar="RUN", help="Letters, digits, dots, dashes, underscores.")],
    protect: Annotated[bool, typer.Option("--protect", help="Protect it from runs rm and gc.")] = False,
    as_json: AsJson = False,
    configfile: ConfigFiles = None,
) -> None:
    """Save the results of a configuration under a name.

    Artifacts of other configurations in results/ are left out. The files are hard links in runs/RUN, which take no
    space, and stay in the store. Other commands read an artifact of the run as ARTIFACT@RUN. Stale or incomplete
    results can be saved too; they are listed.

    Exit code 0, or 1 if results are stale or missing.
    """
    project = load(configfile)
    graph, configuration = project.graph, project.configuration.read
    run = named_runs.save(project.workspace, name, protect, graph, configuration)
    others = sorted(set(named_runs.artifact_names(project.workspace.results)) - set(graph))
    missing = sorted(project.decisions.keys() - run.artifacts.keys())
    stale = sorted(
        artifact
        for artifact, decision in project.decisions.items()
        if artifact in run.artifacts and decision.state is not State.CURRENT
    )
    protected = " and protected" if run.pinned else ""
    parts = [
        f"Saved {output.count(len(run.artifacts), 'artifact')} in {project.workspace.runs / name}{protected}. "
        f"Read them as ARTIFACT@{name}."
    ]
    parts += [f"Stale: {_some(stale)}."] if stale else []
    parts += [f"Missing: {_some(missing)}."] if missing else []
    parts += [f"Not of this configuration, and not saved: {_some(others)}."] if others else []
    value = {**asdict(run), "stale": stale, "missing": missing, "not_saved": others}
    output.show(value, as_json, *parts, configuration=project.configuration)
    raise typer.Exit(1 if stale or missing else 0)


@app.command("list")
def list_runs(as_json: AsJson = False) -> None:
    """List the named runs, the newest first.

    \b
    own      bytes that tapeout gc could free if the run were removed
    report   digest of the artifacts that no other artifact of the run reads
    results  whether results/ has the same bytes

    Exit code 0.
    """
    summaries, wide = named_runs.summarize(Workspace.here()), output.is_wide()
    rows = [
        [
            summary.run.name,
            "yes" if summary.run.pinned else "",
            str(len(summary.run.artifacts)),
            output.format_size(summary.size),
            output.format_size(summary.own_size),
            " ".join(digest[:10] for digest in summary.ends.values()),
            f"{len(summary.differing)} differ" if summary.differing else "same",
            *([str(summary.run.configuration or "")] if wide else []),
            summary.run.named[5:16].replace("T", " "),
        ]
        for summary in summaries
    ]
    columns = [
        "run",
        "protected",
        ">artifacts",
        ">size",
        ">own",
        "report",
        "results",
        *(["configuration"] if wide else []),
        "saved (UTC)",
    ]
    parts: list[Any] = [output.table(columns, rows)] if rows else ["There are no named runs: tapeout runs save RUN"]
    output.show([asdict(summary.run) | _sizes(summary) for summary in summaries], as_json, *parts)


def _sizes(summary: named_runs.RunSummary) -> dict[str, Any]:
    return {name: value for name, value in asdict(summary).items() if name != "run"}


@app.command()
def protect(
    names: Runs,
    off: Annotated[bool, typer.Option("--off", help="End the protection.")] = False,
    as_json: AsJson = False,
) -> None:
    """Protect named runs from removal by runs rm and gc.

    Exit code 0.
    """
    runs = [named_runs.protect(Workspace.here(), name.removeprefix("@"), not off) for name in names]
    state = "no longer protected" if off else "protected"
    output.show([asdict(run) for run in runs], as_json, *(f"Run {run.name} is {state}." for run in runs))


@app.command("rm")
def remove(names: Runs, as_json: AsJson = False) -> None:
    """Remove named runs.

    Their files stay in the store until tapeout gc finds that nothing else refers to them.

    Exit code 0.
    """
    for name in names:
        named_runs.remove(Workspace.here(), name.removeprefix("@"))
    output.show({"removed": names}, as_json, *(f"Removed run {name}." for name in names))


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
