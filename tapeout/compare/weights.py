"""Comparison of checkpoints, by the program ``compare.tensors`` in an environment that has torch."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapeout.compare.file_comparison import Detail, FileComparison, Level, Unreadable, counted
from tapeout.config.comparison import Bounds
from tapeout.graph.identity.environment import read_environment
from tapeout.program import StepFailed

ENVIRONMENT = "nemo"
STATES = {
    "added": "tensor~ added",
    "removed": "tensor~ removed",
    "form": "tensor~ of another type or shape",
    "changed": "tensor~ changed",
    "value": "other value~ changed",
}


@dataclass(frozen=True)
class TensorChange:
    """One tensor that differs, or one other value of a checkpoint.

    Attributes:
        state: one of ``STATES``; ``value`` for what is not a tensor.
        old, new: type and shape, or the value.
        elements: number of elements of the tensor.
        differing: elements whose bits differ.
        max_absolute: largest difference of two finite elements.
        relative: ``max_absolute`` divided by the largest magnitude in the two tensors.
        not_finite: differing elements one of which is not finite.
    """

    name: str
    state: str
    old: Any
    new: Any
    elements: int = 0
    differing: int = 0
    max_absolute: float = 0.0
    relative: float = 0.0
    not_finite: int = 0


@dataclass(frozen=True)
class WeightsDetail(Detail):
    """Tensors that differ, in the order of ``STATES``; those that changed most first."""

    kind = "tensors"

    equal: int
    counts: dict[str, int]
    tensors: tuple[TensorChange, ...]


def compare_weights(old: Path, new: Path, bounds: Bounds, limit: int | None) -> FileComparison:
    """Compare two safetensors files, two files of ``torch.save``, or two folders with distributed checkpoints.

    Raises:
        Unreadable: one of them is damaged.
        InvalidEnvironment: the environment with torch is not installed.
        StepFailed: the program failed.
    """
    *lines, last = _run(old, new)
    if "unreadable" in last:
        raise Unreadable(f"the {last['unreadable']} one cannot be read: {last['why']}.", "Build it again.")
    changes = [_change(line) for line in lines]
    if not changes:
        return FileComparison(Level.VALUES, f"all {last['equal']:,} tensors and values equal bit by bit")
    counts = {state: sum(change.state == state for change in changes) for state in STATES}
    summary = counted(*((count, STATES[state]) for state, count in counts.items()))
    within = all(_within(change, bounds) for change in changes)
    changes.sort(key=lambda change: (list(STATES).index(change.state), -change.relative, change.name))
    return FileComparison(
        Level.METRICS if within else Level.NONE,
        f"{summary} within the bounds" if within else summary,
        WeightsDetail(last["equal"], counts, tuple(changes[:limit])),
    )


def _run(old: Path, new: Path) -> list[dict[str, Any]]:
    environment = read_environment(ENVIRONMENT)
    environment.require()
    done = subprocess.run(
        [str(environment.python), "-P", "-m", "tapeout.compare.tensors", str(old.absolute()), str(new.absolute())],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = (done.stderr.splitlines() or [f"exit status {done.returncode}"])[-1]
        raise StepFailed(
            f"Comparing the tensors of {old.name} failed: {why}.",
            "If memory ran out, compare on a machine with more memory; otherwise report this error.",
        )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _change(line: dict[str, Any]) -> TensorChange:
    if line["state"] != "changed":
        return TensorChange(line["name"], line["state"], line.get("old"), line.get("new"))
    form = {name: line[name] for name in ("type", "shape")}
    figures = {name: line[name] for name in ("elements", "differing", "max_absolute", "not_finite")}
    relative = line["max_absolute"] / line["largest"] if line["largest"] else 0.0
    return TensorChange(line["name"], "changed", form, form, relative=relative, **figures)


def _within(change: TensorChange, bounds: Bounds) -> bool:
    if change.state == "value":
        return bounds.agree(change.name, change.old, change.new)
    small = bounds.tensors is not None and change.relative <= bounds.tensors
    return change.state == "changed" and small and not change.not_finite
