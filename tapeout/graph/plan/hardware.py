"""Compare the GPUs that planned steps ask for with those that they compute on and those of this machine."""

from collections.abc import Iterable
from pathlib import Path

from tapeout.graph.identity.action import Recipe
from tapeout.graph.launch.launcher import CannotStart
from tapeout.graph.plan import rates

DEVICES = Path("/dev")


def missing_gpus(recipes: Iterable[Recipe], devices: Path = DEVICES) -> CannotStart | None:
    """Return an error that names the steps that compute on GPUs, if this machine has none; else None.

    A step's resources count the GPUs of a whole node, so whether there are enough of them is checked by the step.

    Args:
        recipes: steps that run on this machine.
        devices: folder of the system's device files.
    """
    names = [recipe.artifact for recipe in recipes if rates.gpus_per_node(recipe.resources)]
    present = any(devices.glob("nvidia[0-9]*")) or (devices / "dxg").exists()  # dxg: Windows Subsystem for Linux
    if present or not names:
        return None
    return CannotStart(
        f"This machine has no GPU for {', '.join(names)}.",
        "Run on a machine that has GPUs or on a cluster (docs/slurm.md), or let the CPU compute "
        "(layout.accelerator: cpu; evaluation.gpu_model: null).",
    )


def idle_gpus(recipes: Iterable[Recipe]) -> str:
    """Return a sentence about the steps that occupy GPUs on a cluster without computing on them; empty if none do."""
    idle = [recipe for recipe in recipes if recipe.resources.get("device") == "cpu"]
    idle = [recipe for recipe in idle if rates.allocated_gpus(recipe.resources)]
    if not idle:
        return ""
    steps = ", ".join(f"{recipe.artifact} ({rates.allocated_gpus(recipe.resources)})" for recipe in idle)
    return f"GPUs that are allocated and not used, because layout.accelerator is cpu (docs/training.md): {steps}."
