"""Domain-adaptive pretraining: next-token loss on a blend of domain and general text."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapeout.config.dapt import Dapt as Parameters

if TYPE_CHECKING:
    import lightning.pytorch as lightning

    from tapeout.nemo.forward import ForwardStep, LossReduction
    from tapeout.train.samples import TrainingData

__all__ = ["KIND", "Parameters", "callbacks", "data", "files", "loss"]

KIND = "pretrain"


def data(job: Parameters, tokenizer: Path, inputs: Mapping[str, Any]) -> "TrainingData":
    """Return windows of text.

    ``inputs`` are ``domain`` and ``general``, two corpora; or ``blend`` and ``shards``, a tokenized corpus.
    """
    from tapeout.train.samples import TrainingData
    from tapeout.train.text_samples import corpus_names, corpus_samples, shard_names, shard_samples

    if job.reads == "pretraining":
        blend, shards = inputs["blend"], inputs["shards"]
        return TrainingData(shard_samples(blend, shards, job), names=partial(shard_names, blend, shards, job))
    domain, general = inputs["domain"], inputs["general"]
    return TrainingData(
        corpus_samples(domain, general, tokenizer, job), names=partial(corpus_names, domain, general, tokenizer, job)
    )


def loss() -> "tuple[ForwardStep, LossReduction]":
    """Return the cross-entropy of all tokens."""
    from tapeout.nemo.forward import ForwardStep, LossReduction

    return ForwardStep(), LossReduction()


def callbacks(job: Parameters) -> "list[lightning.Callback]":
    """Return no further callbacks."""
    return []


def files(job: Parameters) -> Mapping[str, str]:
    """Return no further files."""
    return {}
