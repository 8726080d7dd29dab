"""Weights of the data sets of a sharded corpus, so that each component has its fraction of the training tokens."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tapeout.config.pretraining import BlendJob
from tapeout.data.errors import NotEnoughData

PREFIX = "pretraining/tokens"
"""Folder of the shards' data sets, relative to ``results/``."""


def blend(reports: Sequence[Mapping[str, Mapping[str, int]]], job: BlendJob) -> dict[str, Any]:
    """Return counts and fractions by component, and the weighted data sets as Megatron-core's ``data_path``.

    Inside a component a shard is weighted by its tokens, so that all documents are drawn equally often.

    Raises:
        NotEnoughData: a component has no tokens.
    """
    counts = {component: Counter[str]() for component in sorted(job.weights)}
    for report in reports:
        for component, part in report.items():
            counts[component] += Counter(part)
    for component, count in counts.items():
        if not count["tokens"]:
            raise NotEnoughData(
                f"The component {component} of the pretraining corpus has no tokens.",
                "See report.json of the documents and shards for the reasons; name other sources, or relax limits.",
            )
    total = sum(count["tokens"] for count in counts.values())
    total_weight = sum(job.weights.values())
    fractions = {component: job.weights[component] / total_weight for component in counts}
    paths: list[str | float] = []
    for shard, report in zip(job.shards, reports, strict=True):
        for component in sorted(report):
            weight = fractions[component] * report[component]["tokens"] / counts[component]["tokens"]
            paths += [weight, f"{PREFIX}/{shard}/{component}"]
    components = {
        component: {
            **count,
            "raw_fraction": count["tokens"] / total,
            "fraction": fractions[component],
            "repeats": fractions[component] * total / count["tokens"],
        }
        for component, count in counts.items()
    }
    return {"tokens": total, "components": components, "data_path": paths}
