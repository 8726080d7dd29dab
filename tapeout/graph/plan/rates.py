"""Compute rates of machines: measured from this store's journal, else assumed."""

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

DEFAULT_GPUS_PER_NODE = 8

CORE_RATE = 90e9
"""FLOP/s of one CPU thread in 32-bit floats: measured for the default config's training on two cores of an x86-64
server. Assumed where nothing was recorded."""


@dataclass(frozen=True)
class Gpu:
    """A GPU model.

    Attributes:
        peak: dense BF16 FLOP/s of the data sheet (SXM).
        utilisation: fraction of the peak that training reaches.
        memory: GiB that a program can allocate.
    """

    peak: float
    utilisation: float
    memory: int

    @property
    def rate(self) -> float:
        """FLOP/s that training reaches."""
        return self.peak * self.utilisation


GPUS = {"a100": Gpu(312e12, 0.40, 79), "h100": Gpu(989e12, 0.38, 79), "h200": Gpu(989e12, 0.38, 139)}
"""GPU models; docs/cost.md cites the sources."""

DEFAULT_GPU = "h100"
"""Assumed model for a rule that names none, or one that ``GPUS`` lacks."""


@dataclass(frozen=True)
class Device:
    """Hardware that a step computes on.

    Attributes:
        kind: kind of machine (processor and cores) for a CPU step, model for a GPU step.
        units: number of threads or GPUs.
        assumed: FLOP/s of one unit where nothing was recorded.
    """

    kind: str
    units: int
    assumed: float


def this_machine() -> str:
    """Return the kind of this machine, as the journal names it."""
    return _machine_kind(platform.machine(), os.cpu_count() or 1)


def _machine_kind(processor: str, cores: int) -> str:
    return f"{processor}, {cores} cores"


def device(resources: dict[str, Any], threads: int, kind: str) -> Device:
    """Return the hardware that a step computes on."""
    gpus = allocated_gpus(resources)
    if not gpus or resources.get("device") == "cpu":
        return Device(kind, threads, assumed(None))
    model = str(resources.get("gpu_model") or _parse_gres(resources)[0] or DEFAULT_GPU).lower()
    return Device(model, gpus, assumed(model))


def gpu(model: str) -> Gpu:
    """Return what is known of a GPU model, or of the one that is assumed instead."""
    return GPUS[next((name for name in sorted(GPUS) if name in model), DEFAULT_GPU)]


def assumed(model: str | None) -> float:
    """Return the assumed FLOP/s of one GPU of a model, or of one CPU thread for None."""
    return CORE_RATE if model is None else gpu(model.lower()).rate


def allocated_gpus(resources: dict[str, Any]) -> int:
    """Return the number of GPUs that a step gets on all its nodes, whether it computes on them or not."""
    return int(resources.get("gpu") or 0) or _parse_gres(resources)[1] * int(resources.get("nodes") or 1)


def gpus_per_node(resources: dict[str, Any]) -> int:
    """Return the number of GPUs that a step computes on, on each node."""
    return 0 if resources.get("device") == "cpu" else allocated_gpus(resources) // int(resources.get("nodes") or 1)


def _parse_gres(resources: dict[str, Any]) -> tuple[str, int]:
    """Return model (empty if any) and number of GPUs per node from Slurm's syntax: ``gpu:8``, ``gpu:h100:8``."""
    name, *rest = str(resources.get("gres") or "").split(":")
    if name != "gpu":
        return "", 0
    count = int(rest.pop()) if rest and rest[-1].isdigit() else 1
    return "".join(rest), count


def recorded_device(line: dict[str, Any]) -> Device:
    """Return the hardware that a step of the journal was computed on."""
    kind = _machine_kind(line.get("machine", "unknown"), line.get("cores", 1))
    return device(line.get("resources", {}), line.get("threads", 1), kind)


def nodes(resources: dict[str, Any]) -> int:
    """Return the number of nodes of a step: as its rule says, else as many as its GPUs occupy; 0 without GPUs."""
    return int(resources.get("nodes") or -(-allocated_gpus(resources) // DEFAULT_GPUS_PER_NODE))


def measured(journal: Iterable[dict[str, Any]], rule: str, kind: str) -> float | None:
    """Return the recorded FLOP/s of one thread or GPU of a kind: of steps of the same rule, else of all steps.

    The typical seconds of a rule do not grow with the work (imports, reading, saving) and are subtracted. A step that
    took less than twice as long was dominated by them and is ignored. None if no step is left.
    """
    known = [line for line in journal if _measures_rate(line) and recorded_device(line).kind == kind]
    lines = [line for line in known if line["rule"] == rule] or known
    if not lines:
        return None
    flop = 1e9 * sum(float(line["resources"]["gflop"]) for line in lines)
    return flop / sum(_unit_seconds(line) for line in lines)


def _measures_rate(line: dict[str, Any]) -> bool:
    resources = line.get("resources", {})
    return bool(resources.get("gflop")) and float(line["seconds"]) >= 2 * float(resources.get("typical_seconds") or 0)


def _unit_seconds(line: dict[str, Any]) -> float:
    seconds = float(line["seconds"]) - float(line["resources"].get("typical_seconds") or 0)
    return max(seconds, 0.01) * recorded_device(line).units
