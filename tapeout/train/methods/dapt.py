"""Domain-adaptive pretraining: next-token loss on a blend of domain and general text."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapeout.config.dapt import Dapt as Parameters

if TYPE_CHECKING:
    import lightning.pytorch as lightning

    from tapeout.nemo.forward import ForwardStep, LossReduction
    from tapeout.train.method import Once
    from tapeout.train.samples import TrainingData

__all__ = ["KIND", "Parameters", "callbacks", "data", "files", "loss"]

KIND = "pretrain"


def data(job: Parameters, tokenizer: Path, inputs: Mapping[str, Any], once: "Once") -> "TrainingData":
    """Return windows of text.

    ``inputs`` are ``domain`` and ``general``, two corpora; or ``blend`` and ``shards``, a tokenized corpus.
    """
    from tapeout.train.samples import TrainingData
    from tapeout.train.text_samples import CORPORA, corpus_samples, shard_samples, write_corpora

    if job.reads == "pretraining":
        return TrainingData(shard_samples(inputs["blend"], inputs["shards"], job))
    corpora = {corpus: inputs[corpus] for corpus in CORPORA}
    folder = once("tokens", lambda path: write_corpora(corpora, tokenizer, job, path))
    return TrainingData(corpus_samples(folder, corpora, job))


def loss(job: Parameters) -> "tuple[ForwardStep, LossReduction]":
    """Return the cross-entropy of all tokens."""
    from tapeout.nemo.forward import ForwardStep, LossReduction

    return ForwardStep(), LossReduction()


def callbacks(job: Parameters) -> "list[lightning.Callback]":
    """Return no further callbacks."""
    return []


def files(job: Parameters, inputs: Mapping[str, Any]) -> Mapping[str, str]:
    """Return no further files."""
    return {}
