"""The blend of a corpus in shards: which data set is drawn from how often, so that each component has its share."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tapeout.config.pretraining import BlendJob
from tapeout.data.io.empty import EmptyCorpus

PREFIX = "pretraining/tokens"
"""Where the shards' data sets lie below ``results/``."""


def blend(reports: Sequence[Mapping[str, Mapping[str, int]]], job: BlendJob) -> dict[str, Any]:
    """Counts and shares by component, and the data sets with their weights in Megatron-core's form.

    Inside a component each shard counts by its tokens, so that its documents are all drawn equally often.

    Args:
        reports: of the shards' tokens, in the order of ``job.shards``.
        job: weights, and the names of the shards.

    Raises:
        EmptyCorpus: nothing is left of a component.
    """
    counts = {component: Counter[str]() for component in sorted(job.weights)}
    for report in reports:
        for component, each in report.items():
            counts[component] += Counter(each)
    for component, each in counts.items():
        if not each["tokens"]:
            raise EmptyCorpus(
                f"Nothing is left of component {component} of the pretraining corpus.",
                "The files report.json in results/pretraining/ say why; name other sources, or ask for less.",
            )
    total = sum(each["tokens"] for each in counts.values())
    whole = sum(job.weights.values())
    shares = {component: job.weights[component] / whole for component in counts}
    paths: list[str | float] = []
    for shard, report in zip(job.shards, reports, strict=True):
        for component in sorted(report):
            weight = shares[component] * report[component]["tokens"] / counts[component]["tokens"]
            paths += [weight, f"{PREFIX}/{shard}/{component}"]
    components = {
        component: {
            **each,
            "raw_share": each["tokens"] / total,
            "share": shares[component],
            "repeats": shares[component] * total / each["tokens"],
        }
        for component, each in counts.items()
    }
    return {"tokens": total, "components": components, "data_path": paths}
