"""Supervised fine-tuning: loss on the answers of instruction rows."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapeout.config.sft import Sft as Parameters
from tapeout.data.encode.prompt import TEMPLATE_FILE

if TYPE_CHECKING:
    import lightning.pytorch as lightning

    from tapeout.nemo.forward import ForwardStep, LossReduction
    from tapeout.train.samples import TrainingData

__all__ = ["KIND", "Parameters", "callbacks", "data", "files", "loss"]

KIND = "finetune"


def data(job: Parameters, tokenizer: Path, inputs: Mapping[str, Any]) -> "TrainingData":
    """Return packed training rows, and all validation rows.

    Args:
        job: the parameters.
        tokenizer: not used, because the rows are token ids already.
        inputs: ``encoded``, folders with train.jsonl and validation.jsonl of token ids and loss masks.
    """
    from tapeout.data.encode.encoded_rows import read_encoded
    from tapeout.train.row_samples import all_rows, row_samples
    from tapeout.train.samples import TrainingData

    train, validation = (
        [row for folder in inputs["encoded"] for row in read_encoded(folder / f"{split}.jsonl", job.seq_length)]
        for split in ("train", "validation")
    )
    return TrainingData(row_samples(train, job), all_rows(validation, job.seq_length), job.val_check_interval)


def loss() -> "tuple[ForwardStep, LossReduction]":
    """Return the cross-entropy of the tokens whose loss mask is 1."""
    from tapeout.nemo.forward import ForwardStep, LossReduction

    return ForwardStep(), LossReduction()


def callbacks(job: Parameters) -> "list[lightning.Callback]":
    """Return no further callbacks."""
    return []


def files(job: Parameters) -> Mapping[str, str]:
    """Return the prompt template, which evaluation and export read from the model."""
    return {TEMPLATE_FILE: json.dumps({"template": job.template}) + "\n"}
