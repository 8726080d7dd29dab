"""``tapeout batch``: what one step of a training reads."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapeout.cli import batch_text, output
from tapeout.cli.options import Artifact, AsJson, ConfigFiles, InvalidUse
from tapeout.cli.project import Project, load
from tapeout.combinations import unscoped
from tapeout.graph.errors import InputChanged
from tapeout.graph.files import report_disk_errors
from tapeout.graph.identity.action import ORDERING_PREFIX, Recipe, Reference
from tapeout.graph.identity.container import environment_of
from tapeout.graph.launch import node_agent
from tapeout.graph.launch.launcher import AGENT, Program, start
from tapeout.graph.workspace import State
from tapeout.streams import write_error

if TYPE_CHECKING:
    from tapeout.graph.layer import Layer

PROGRAM = "tapeout.train.batch_report"
SHOWN = 40
"""Documents or rows shown without --json."""
MAX_TEXT = 60
"""Characters of a text shown without --json."""


def batch(
    artifact: Artifact,
    step: Annotated[int, typer.Option(min=1, help="Number of the step, from 1.")] = 1,
    rank: Annotated[int | None, typer.Option(min=0, help="Only what this process of the layout reads.")] = None,
    as_json: AsJson = False,
    configfile: ConfigFiles = None,
) -> None:
    """Show the documents or rows, tokens and loss masks of one step of a training, and its data sets.

    Reads the inputs in results/ as the training ARTIFACT does, without training; it need not have been trained yet.
    """
    project = load(configfile)
    name = project.resolve(artifact).artifact
    recipe = project.recipes[name]
    _check(project, recipe, step, rank)
    found = read_batch(project.layer, recipe, step, rank)
    if found is None:
        raise typer.Exit(output.NAMED_ERROR)
    trained = project.decisions[name].state is State.CURRENT
    last = _last_step(project.layer.workspace.artifact_path(name)) if trained else None
    ended = last if last is not None and last < step else None
    output.show(
        {**found, "artifact": name, "trained": trained and ended is None},
        as_json,
        *([] if as_json else _parts(name, recipe, found, trained, ended)),
        configuration=project.configuration,
    )


def _check(project: Project, recipe: Recipe, step: int, rank: int | None) -> None:
    """Check that the artifact is a training with such a step and rank, and that its inputs are built.

    Raises:
        InvalidUse: it is not.
        InputChanged: they are not.
    """
    steps, layout = recipe.params.get("max_steps"), recipe.params.get("layout")
    if steps is None or layout is None:
        raise InvalidUse(f"{recipe.artifact} is not trained in NeMo.", "Name such an artifact: tapeout batch sft")
    ranks = layout["num_nodes"] * layout["devices"]
    if step > steps:
        raise InvalidUse(f"The training has {steps} steps.", f"Give a number from 1 to {steps}.")
    if rank is not None and rank >= ranks:
        raise InvalidUse(f"The layout of the training has {ranks} ranks.", f"Give a number from 0 to {ranks - 1}.")
    for reference in (item for _, items in inputs(recipe) for item in items):
        if project.decisions[reference.artifact].state is not State.CURRENT:
            raise InputChanged(
                f"{reference.artifact}, which the training reads, is not built or is out of date.",
                f"Run: snakemake {reference.artifact}",
            )


def _last_step(folder: Path) -> int | None:
    """Return the last step of a trained model, from its log; None without a log."""
    file = folder / "train_log.json"
    return int(json.loads(file.read_bytes())["steps"][-1]["step"]) if file.is_file() else None


def inputs(recipe: Recipe) -> list[tuple[str, list[Reference]]]:
    """Return what the program reads, by name."""
    return [
        (name, value if isinstance(value, list) else [value])
        for name, value in sorted(recipe.inputs.items())
        if not name.startswith(ORDERING_PREFIX)
    ]


def path_of(layer: "Layer", reference: Reference) -> Path:
    """Return the file or folder of an input in ``results/``."""
    return (layer.workspace.artifact_path(reference.artifact) / reference.path).absolute()


def read_batch(layer: "Layer", recipe: Recipe, step: int, rank: int | None = None) -> dict[str, Any] | None:
    """Return what ``tapeout.train.batch_report`` prints in the environment of a training, whose inputs are built.

    Returns:
        the batch, or None if the program failed; its error is then printed.
    """
    paths = {
        name: [str(path_of(layer, item)) for item in items]
        if isinstance(recipe.inputs[name], list)
        else str(path_of(layer, items[0]))
        for name, items in inputs(recipe)
    }
    request = {"step": step, "rank": rank, "plugins": list(recipe.plugins), "params": recipe.params, "inputs": paths}
    with report_disk_errors(), tempfile.TemporaryDirectory(prefix="tapeout-batch-") as name:
        folder = Path(name)
        file = folder / "request.json"
        file.write_text(json.dumps(request))
        packages = environment_of(recipe)
        layer.launch.require(packages)
        inherited = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LC_ALL") if name in os.environ}
        here = Path.cwd()
        variables = inherited | {"PYTHONPATH": str(here), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": name}
        folders = (here, layer.workspace.results.absolute(), folder)
        shutil.copyfile(node_agent.__file__, folder / AGENT)  # for a container
        program = Program(("-m", PROGRAM, str(file)), packages, variables, folder, None, folders, here, here)
        started = start(layer.launch, program, {})
        started.prepare()
        done = subprocess.run(started.command, env=started.variables, capture_output=True, text=True)
    if done.returncode:
        write_error(done.stderr.rstrip())
        return None
    found: dict[str, Any] = json.loads(done.stdout)
    # a program names its inputs without the combination of a sweep that they belong to
    artifacts = {unscoped(item.artifact): item.artifact for _, items in inputs(recipe) for item in items}
    for source in (source for sequence in found["sequences"] for source in sequence["sources"]):
        for plain, artifact in artifacts.items():
            if source["name"].startswith(f"{plain}/"):
                source["name"] = artifact + source["name"].removeprefix(plain)
    return found


def _parts(name: str, recipe: Recipe, found: dict[str, Any], trained: bool, ended: int | None = None) -> list[Any]:
    """Return a sentence, a table with one row for each document or row, the first one's text, and the data sets."""
    sequences = found["sequences"]
    rows = [
        [
            str(sequence["index"]),
            source["name"],
            f"{source['start']:,}-{source['end']:,}",
            f"{source['tokens_with_loss']:,}",
            _short(source["text"]),
        ]
        for sequence in sequences
        for source in sequence["sources"]
    ]
    tokens = sum(len(sequence["tokens"]) for sequence in sequences)
    losses = sum(sum(sequence["mask"]) for sequence in sequences)
    whose = "" if found["rank"] is None else f" on rank {found['rank']}"
    how = "as it was trained" if trained else "as it will be trained"
    if ended is not None:
        how = f"which was not trained, because the training ended early after step {ended}"
    sizes = f"{output.count(len(sequences), 'sequence')} of {recipe.params['seq_length']:,} tokens"
    columns = [">sequence", "document or row", ">positions", ">with loss", *(["text"] if output.is_wide() else [])]
    return [
        f"{name}, step {found['step']}{whose}, {how}: {sizes}; {losses:,} of {tokens:,} positions have a loss.",
        "",
        output.table(columns, [row[: len(columns)] for row in rows[:SHOWN]]),
        *([f"and {len(rows) - SHOWN:,} more: --json"] if len(rows) > SHOWN else []),
        *batch_text.example(found),
        *batch_text.figures(found),
    ]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_TEXT else line[: MAX_TEXT - 3] + "..."
