"""Preview of trainings in a dry run: the first batch of each training that would run, if its inputs are built."""

from pathlib import Path
from typing import TYPE_CHECKING

from tapeout.cli import batch_text, output
from tapeout.cli.batch import inputs, path_of, read_batch
from tapeout.graph.identity.container import environment_of
from tapeout.graph.identity.environment import Environment, missing
from tapeout.graph.plan.decide import Decision
from tapeout.graph.workspace import State

if TYPE_CHECKING:
    from tapeout.graph.layer import Layer

MAX_BYTES = 64 * 1024**2
"""Inputs of a training, without the model, up to which a dry run reads them; it takes seconds."""


def preview(layer: "Layer", decisions: list[Decision]) -> None:
    """Print the first batch of each training among the planned steps whose inputs are built.

    A training whose environment is not installed has none; a note of the dry run names the environment.
    """
    current = {decision.recipe.artifact for decision in decisions if decision.state is State.CURRENT}
    for decision in decisions:
        recipe = decision.recipe
        read = [item for name, items in inputs(recipe) for item in items if name != "model"]
        models = [item for name, items in inputs(recipe) for item in items if name == "model"]
        packages = environment_of(recipe)
        installed = not isinstance(packages, Environment) or missing([packages]) is None
        is_training = {"max_steps", "layout"} <= recipe.params.keys()
        built = all(item.artifact in current for item in [*read, *models])
        if decision.state is not State.BUILD or not (is_training and built and installed):
            continue
        if sum(_size(path_of(layer, item)) for item in read) > MAX_BYTES:
            output.console.print(f"tapeout batch {recipe.artifact} shows what it reads.")
            continue
        found = read_batch(layer, recipe, 1)
        if found is not None:
            parts = [*batch_text.example(found), *batch_text.figures(found)]
            output.show(found, False, f"{recipe.artifact}, first step:", *parts)


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
