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

    ``inputs`` is ``encoded``, folders with train.jsonl and validation.jsonl of token ids and loss masks.
    """
    from tapeout.data.encode.encoded_rows import read_encoded
    from tapeout.train.row_samples import all_rows, row_samples, training_bins
    from tapeout.train.samples import TrainingData

    folders: list[Path] = inputs["encoded"]
    parts = [read_encoded(folder / "train.jsonl", job.seq_length) for folder in folders]
    rows = [row for part in parts for row in part]
    validation = [row for folder in folders for row in read_encoded(folder / "validation.jsonl", job.seq_length)]

    def names(sequences: range) -> list[str]:
        lines = [
            f"encoded/{folder.name}/train.jsonl:{line}"
            for folder, part in zip(folders, parts, strict=True)
            for line in range(1, len(part) + 1)
        ]
        bins = training_bins(rows, job)
        return [lines[row] for sequence in sequences for row in bins[sequence]]

    return TrainingData(row_samples(rows, job), all_rows(validation, job.seq_length), job.val_check_interval, names)


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
