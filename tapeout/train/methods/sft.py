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
    from tapeout.train.instruction_data import instruction_data

    return instruction_data(inputs["encoded"], job, job.val_check_interval, once, job.validation_by_category)


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
