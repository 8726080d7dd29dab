"""Training samples as arrays: the content of every sequence of a training run, in the order of use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapeout.data.encode.packing import Ids

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Samples:
    """Sequences of one length, [n, s] each.

    Attributes:
        tokens: input of the model.
        labels: the next token at each position.
        mask: 1 where the loss counts.
        segments: row of a packed sequence that a token belongs to, -1 for padding; None where sequences are not packed.
    """

    tokens: Ids
    labels: Ids
    mask: Mask
    segments: Ids | None = None


@dataclass(frozen=True)
class TrainingData:
    """All data of a training run.

    Attributes:
        train: samples of all steps, in their order.
        validation: samples of the whole validation split; None if the loss on it is not measured.
        val_check_interval: steps between measurements of that loss.
        names: returns the names of the documents or rows in the given sequences of ``train``, for errors; None if
            the method cannot name them.
    """

    train: Samples
    validation: Samples | None = None
    val_check_interval: int = 0
    names: Callable[[range], Sequence[str]] | None = None

    def names_in(self, sequences: range) -> Sequence[str]:
        """Return the names of the documents or rows in sequences of ``train``, or the numbers of these."""
        if self.names is None:
            return [f"training sequence {index}" for index in sequences]
        return self.names(sequences)

    @property
    def parts(self) -> list[Samples]:
        """Samples of training and validation."""
        return [self.train] if self.validation is None else [self.train, self.validation]
