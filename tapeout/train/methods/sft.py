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
    from tapeout.train.method import Once
    from tapeout.train.samples import TrainingData

__all__ = ["KIND", "Parameters", "callbacks", "data", "files", "loss"]

KIND = "finetune"


def data(job: Parameters, tokenizer: Path, inputs: Mapping[str, Any], once: "Once") -> "TrainingData":
    """Return packed training rows, and all validation rows.

    ``inputs`` is ``encoded``, folders with train.jsonl and validation.jsonl of token ids and loss masks.
    """
    from tapeout.data.encode.encoded_rows import read_encoded
    from tapeout.train.row_samples import AllRows, Rows, TrainingRows, by_category, write_rows
    from tapeout.train.samples import TrainingData

    folders: list[Path] = inputs["encoded"]

    def write(output: Path) -> None:
        output.mkdir(parents=True)
        for number, folder in enumerate(folders):
            for split in ("train", "validation"):
                write_rows(read_encoded(folder / f"{split}.jsonl", job.seq_length), output / f"{number}-{split}")

    written = once("rows", write)
    train, validation = (
        Rows(
            [written / f"{number}-{split}" for number in range(len(folders))],
            [f"encoded/{folder.name}/{split}.jsonl" for folder in folders],
        )
        for split in ("train", "validation")
    )
    files = [folder / "validation.jsonl" for folder in folders]
    return TrainingData(
        TrainingRows(train, job),
        AllRows(validation, job.seq_length),
        job.val_check_interval,
        by_category(validation, files, job.seq_length) if job.validation_by_category else {},
    )


def loss(job: Parameters) -> "tuple[ForwardStep, LossReduction]":
    """Return the cross-entropy of the tokens whose loss mask is 1."""
    from tapeout.nemo.forward import ForwardStep, LossReduction

    return ForwardStep(), LossReduction()


def callbacks(job: Parameters) -> "list[lightning.Callback]":
    """Return no further callbacks."""
    return []


def files(job: Parameters, inputs: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the prompt template, which evaluation and export read from the model."""
    return {TEMPLATE_FILE: json.dumps({"template": job.template}) + "\n"}
