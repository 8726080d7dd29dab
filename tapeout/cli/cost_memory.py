"""Memory of training runs on each GPU, as ``tapeout cost`` shows it.

The table of cost hints may compute it (``memory`` and ``advice`` of ``tapeout.costs.table.CostTable``); the content
layer knows nothing of models.
"""

from collections.abc import Iterable
from typing import Any

from rich.table import Table

from tapeout.cli import output
from tapeout.graph.console import format_size as size
from tapeout.graph.plan import rates
from tapeout.graph.plan.forecast import Step

GIB = 2**30
PARTS = ("tensor", "pipeline", "context", "data")
"""Dimensions of a layout: tensor-parallel ranks, pipeline stages, ranks that share sequences, replicas."""


def memory(hints: Any, steps: Iterable[Step]) -> dict[str, dict[str, Any]]:
    """Return nodes, terms and limit of each training on GPUs among ``steps``, as JSON values by artifact.

    Args:
        hints: table of cost hints, with or without the methods ``memory`` and ``advice``.
        steps: steps of a forecast.
    """
    found: dict[str, dict[str, Any]] = {}
    for step in steps:
        known = hints.memory(step.rule) if step.gpus and hasattr(hints, "memory") else None
        if known is None:
            continue
        limit = rates.gpu(step.machine).memory * GIB
        fits = known.total <= limit
        found[step.artifact] = {
            "nodes": known.nodes,
            "gpus_per_node": known.devices,
            "parts": dict(zip(PARTS, known.parts, strict=True)),
            "terms": known.terms,
            "total": known.total,
            "limit": limit,
            "fits": fits,
            "largest": max(known.terms, key=lambda term: known.terms[term]),
            "advice": None if fits else hints.advice(step.rule, limit),
            "checkpoint": known.checkpoint,
        }
    return found


def parts(found: dict[str, dict[str, Any]]) -> list[Table | str]:
    """Return the table of all trainings, and a sentence about each that does not fit."""
    if not found:
        return []
    runs = list(found.values())
    rows = [["nodes x GPUs", *(f"{run['nodes']} x {run['gpus_per_node']}" for run in runs)]]
    rows += [[" x ".join(PARTS), *(" x ".join(map(str, run["parts"].values())) for run in runs)]]
    rows += [[term, *(_gib(run["terms"][term]) for run in runs)] for term in runs[0]["terms"]]
    rows += [[name, *(_gib(run[key]) for run in runs)] for name, key in (("total", "total"), ("available", "limit"))]
    rows += [["checkpoint on disk", *(size(run["checkpoint"]) for run in runs)]]
    columns = ["GiB on each GPU", *(f">{artifact}" for artifact in found)]
    return [
        "",
        output.table(columns, rows),
        *(
            f"\n{artifact} does not fit: {_gib(run['total'])} GiB of {_gib(run['limit'])}. The largest term is "
            f"{run['largest']}, {_gib(run['terms'][run['largest']])} GiB.\n  fix: {run['advice']}"
            for artifact, run in found.items()
            if not run["fits"]
        ),
    ]


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}" if size < 10 * GIB else f"{size / GIB:.0f}"
