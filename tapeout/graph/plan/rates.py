"""How fast machines work: as this store's journal recorded it, else as assumed."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

GPUS_PER_NODE = 8

CORE = 90e9
"""FLOP/s of one CPU thread in 32-bit floats: what the default config's trainings reached on two cores of an x86-64
server. Assumed where nothing was recorded."""


@dataclass(frozen=True)
class Gpu:
    """``peak``: dense BF16 FLOP/s of the data sheet (SXM); ``utilisation``: the part of it that training reaches."""

    peak: float
    utilisation: float


GPUS = {"a100": Gpu(312e12, 0.40), "h100": Gpu(989e12, 0.38), "h200": Gpu(989e12, 0.38)}
"""Sources in docs/cost.md."""

ASSUMED_GPU = "h100"
"""For a rule that names no model, or one that the table lacks."""


@dataclass(frozen=True)
class Device:
    """What a step computes on.

    Attributes:
        kind: kind of machine for a CPU step (processor and cores), model for a GPU step.
        units: its threads or GPUs.
        assumed: FLOP/s of one unit where nothing was recorded.
    """

    kind: str
    units: int
    assumed: float


def here() -> str:
    """The kind of this machine, as the journal has it."""
    return machine(platform.machine(), os.cpu_count() or 1)


def machine(processor: str, cores: int) -> str:
    """A kind of machine in words."""
    return f"{processor}, {cores} cores"


def device(resources: dict[str, Any], threads: int, kind: str) -> Device:
    """What a step with these resources computes on.

    Args:
        resources: of its rule (``gpu``, ``gpu_model``, ``gres``, ``nodes``, ``device``).
        threads: its CPU threads.
        kind: of the machine.
    """
    gpus = granted(resources)
    if not gpus or resources.get("device") == "cpu":
        return Device(kind, threads, CORE)
    model = str(resources.get("gpu_model") or _gres(resources)[0] or ASSUMED_GPU).lower()
    known = GPUS[next((name for name in sorted(GPUS) if name in model), ASSUMED_GPU)]
    return Device(model, gpus, known.peak * known.utilisation)


def granted(resources: dict[str, Any]) -> int:
    """GPUs that a step takes on all its nodes, computed on or not."""
    return int(resources.get("gpu") or 0) or _gres(resources)[1] * int(resources.get("nodes") or 1)


def computed_on(resources: dict[str, Any]) -> int:
    """GPUs on each node that a step computes on."""
    return 0 if resources.get("device") == "cpu" else granted(resources) // int(resources.get("nodes") or 1)


def _gres(resources: dict[str, Any]) -> tuple[str, int]:
    """Model («» if any will do) and number of GPUs on each node, as Slurm writes them: ``gpu:8``, ``gpu:h100:8``."""
    name, *rest = str(resources.get("gres") or "").split(":")
    if name != "gpu":
        return "", 0
    count = int(rest.pop()) if rest and rest[-1].isdigit() else 1
    return "".join(rest), count


def used(line: dict[str, Any]) -> Device:
    """What a line of the journal was computed on."""
    kind = machine(line.get("machine", "unknown"), line.get("cores", 1))
    return device(line.get("resources", {}), line.get("threads", 1), kind)


def nodes(resources: dict[str, Any]) -> int:
    """Nodes that a step takes: as many as its rule says, else as its GPUs fill, at least in part; else 0."""
    return int(resources.get("nodes") or -(-granted(resources) // GPUS_PER_NODE))


def measured(journal: Iterable[dict[str, Any]], rule: str, kind: str) -> float | None:
    """FLOP/s of one thread or GPU of a kind, as recorded: by steps of the same rule, else by all that tell their FLOP.

    What a rule calls typical seconds does not grow with the work (imports, reading, saving) and is left out; a step
    that took less than twice that was mostly start, and tells nothing of a rate.
    """
    known = [line for line in journal if _tells(line) and used(line).kind == kind]
    lines = [line for line in known if line["rule"] == rule] or known
    if not lines:
        return None
    return sum(line["resources"]["gflop"] for line in lines) * 1e9 / sum(_unit_seconds(line) for line in lines)


def _tells(line: dict[str, Any]) -> bool:
    resources = line.get("resources", {})
    return bool(resources.get("gflop")) and float(line["seconds"]) >= 2 * float(resources.get("typical_seconds") or 0)


def _unit_seconds(line: dict[str, Any]) -> float:
    seconds = float(line["seconds"]) - float(line["resources"].get("typical_seconds") or 0)
    return max(seconds, 0.01) * used(line).units
