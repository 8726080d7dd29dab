"""``tapeout rebuild``: build a step a second time in an empty folder, and compare the two outputs."""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from tapeout.cli import output
from tapeout.cli.options import AsJson, ConfigFiles, InvalidUse, artifact_names, refuse
from tapeout.cli.project import Project, load
from tapeout.compare.artifacts import Comparison, compare
from tapeout.compare.file_comparison import Level
from tapeout.config.comparison import Bounds
from tapeout.config.load import load_bounds
from tapeout.graph.launch.process import can_isolate_network
from tapeout.graph.plan.describe import duration
from tapeout.graph.store import second_builds
from tapeout.graph.store.second_builds import SecondBuild
from tapeout.graph.upkeep.rebuild import Rebuild, keep_copy
from tapeout.graph.upkeep.rebuild import rebuild as build_again

RANK = list(Level)
OUTCOMES = {
    Level.BYTES: "the same bytes",
    Level.VALUES: "equal values, other bytes",
    Level.METRICS: "within the bounds",
    Level.NONE: "DIFFERENT",
}


def rebuild(
    context: typer.Context,
    artifacts: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARTIFACT", help="Artifacts or rules; default: all.", autocompletion=artifact_names),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Compare with the first copy; else keep the second.")] = False,
    level: Annotated[Level, typer.Option(help="With --check: what must be equal.")] = Level.BYTES,
    keep: Annotated[bool, typer.Option("--keep", help="With --check: keep an equal second copy too.")] = False,
    online: Annotated[bool, typer.Option("--online", help="Leave the network on for steps that fetch.")] = False,
    as_json: AsJson = False,
    configfile: ConfigFiles = None,
) -> None:
    """Build artifacts a second time, and compare.

    Each step runs in an empty folder, and without network, also if it fetches. With --check its output is compared with
    the first copy: equal bytes, equal values, metrics within the bounds of the configuration, or none of these. What
    does not reach --level is not exported any more.

    Exit code 0, or 1 if an artifact does not reach --level.
    """
    if not check:
        refuse(context, ["level", "keep"], "without --check", "Add --check; without it every copy is kept.")
    project = load(configfile)
    bounds = load_bounds(project.configuration.files)
    names = [name for given in artifacts for name in project.resolve(given).artifacts] if artifacts else None
    decisions = [project.decisions[name] for name in names or project.decisions]
    fetching = [decision.recipe.artifact for decision in decisions if decision.recipe.fetches]
    if online and not fetching:
        raise InvalidUse("--online has no effect: no step to rebuild fetches anything.", "Leave it out.")
    offline = not online and (not fetching or can_isolate_network())
    if not offline and not online:
        listed = ", ".join(fetching)
        output.errors.print(f"! This system cannot take the network from a program; built with it: {listed}.")
    results: list[dict[str, Any]] = []
    for number, decision in enumerate(decisions, 1):
        recipe, launch = decision.recipe, project.layer.launch
        output.errors.print(f"+ {recipe.artifact}  rebuild {number} of {len(decisions)}")
        with build_again(project.workspace, recipe, decision.action, recipe.threads, offline, launch) as copies:
            results.append(_row(project, copies, bounds if check else None, level, keep))
    missed = [row for row in results if check and RANK.index(row["level"]) > RANK.index(level)]
    rows = [[row["artifact"], duration(row["seconds"]), row["second_digest"][:12], _outcome(row)] for row in results]
    parts: list[Any] = [output.table(["artifact", ">took", "digest", "second copy"], rows)]
    parts += [f'{len(results) - len(missed)} of {len(results)} reach the level "{level}".'] if check else []
    parts += [
        f"{row['artifact']} is not reproducible: sha256:{row['digest']}, then sha256:{row['second_digest']}"
        for row in results
        if check and row["digest"] != row["second_digest"]
    ]
    parts += [f"tapeout diff {row['artifact']} ./{row['second_copy']}" for row in missed]
    value = {"offline": offline, "required": level if check else None, "artifacts": results}
    output.show(value, as_json, *parts, configuration=project.configuration)
    raise typer.Exit(1 if missed else 0)


def _row(project: Project, copies: Rebuild, bounds: Bounds | None, required: Level, keep_equal: bool) -> dict[str, Any]:
    """Compare the copies if there are bounds, and keep the second one if it differs or was not compared."""
    comparison = _compare(project, copies, bounds) if bounds is not None else None
    differs = comparison is None or comparison.level is not Level.BYTES
    trust, manifest = project.workspace.store.trust, copies.old.manifest
    digests = manifest.action, manifest.digest(), copies.new.manifest.digest()
    compared = () if comparison is None else (comparison.level, required)
    second_builds.note(project.workspace.work, SecondBuild(*digests, *compared))
    if not differs and trust is not None and not trust.was_built(manifest):
        trust.note_built(manifest)  # this folder has proved it
    path = keep_copy(project.workspace, copies.new) if keep_equal or differs else None
    return {
        "artifact": copies.old.manifest.artifact,
        "seconds": round(copies.seconds, 2),
        "level": comparison.level if comparison is not None else None,
        "digest": copies.old.manifest.digest(),
        "second_digest": copies.new.manifest.digest(),
        "differing_files": [asdict(file) for file in comparison.files] if comparison is not None else None,
        "second_copy": str(path) if path is not None else None,
    }


def _compare(project: Project, copies: Rebuild, bounds: Bounds) -> Comparison:
    with tempfile.TemporaryDirectory(prefix="compare.", dir=project.workspace.work) as scratch:
        return compare(copies.old, copies.new, bounds, Path(scratch))


def _outcome(row: dict[str, Any]) -> str:
    outcome = OUTCOMES[row["level"]] if row["level"] is not None else "not compared"
    return f"{outcome}; {row['second_copy']}" if row["second_copy"] else outcome
