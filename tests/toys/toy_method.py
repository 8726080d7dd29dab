"""Training method from outside of the package: continued pretraining on one text, with loss on every other token."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tapeout.config.training import Training

if TYPE_CHECKING:
    import lightning.pytorch as lightning

    from tapeout.nemo.forward import ForwardStep, LossReduction
    from tapeout.train.method import Once
    from tapeout.train.samples import TrainingData

KIND = "pretrain"


class Parameters(Training):
    """Parameters of all training runs, and one of the toy."""

    stride: int = Field(2, ge=1, description="Only every so many tokens have a loss.")


def data(job: Parameters, tokenizer: Path, inputs: Mapping[str, Any], once: "Once") -> "TrainingData":
    """Return windows of ``inputs["text"]``, as many as needed; a large text would be written once to a file."""
    import numpy as np

    from tapeout.encoder.load import load_encoder
    from tapeout.train.samples import Sample, Samples, TrainingData

    ids = np.array(load_encoder(tokenizer).encode(inputs["text"].read_text()))
    mask = np.zeros(job.seq_length, dtype=np.uint8)
    mask[:: job.stride] = 1

    class Windows(Samples):
        def __len__(self) -> int:
            return job.max_steps * job.global_batch_size

        def __getitem__(self, index: int) -> Sample:
            first = index * (job.seq_length + 1)
            window = ids[np.arange(first, first + job.seq_length + 1) % len(ids)]
            return Sample(window[:-1], window[1:], mask)

    return TrainingData(Windows())


def loss(job: Parameters) -> "tuple[ForwardStep, LossReduction]":
    """Return the masked cross-entropy."""
    from tapeout.nemo.forward import ForwardStep, LossReduction

    return ForwardStep(), LossReduction()


def callbacks(job: Parameters) -> "list[lightning.Callback]":
    """Return a callback that prints each step."""
    from lightning.pytorch.callbacks import LambdaCallback

    return [LambdaCallback(on_train_batch_end=lambda trainer, *_: print(f"toy step {trainer.global_step}"))]


def files(job: Parameters, inputs: Mapping[str, Any]) -> Mapping[str, str]:
    """Return a file with the toy's parameter."""
    return {"toy.json": json.dumps({"stride": job.stride}) + "\n"}
