"""Training samples: sequences that are computed from their index when they are read.

A sample is a function of the seed and of its index among the samples of all steps, so it does not depend on the layout,
on the number of processes that read ahead, or on where a training was resumed; and neither memory nor start-up time
depends on the number of steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tapeout.data.encode.packing import Ids
from tapeout.data.errors import NotEnoughData

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """One sequence of s tokens.

    Attributes:
        tokens: input of the model [s].
        labels: the next token at each position [s].
        mask: 1 where the loss counts [s].
        segments: row of a packed sequence that a token belongs to, -1 for padding [s]; None where sequences are not
            packed.
        values: numbers that the forward step of the method needs, by name; a batch has a tensor [b] of each.
    """

    tokens: Ids
    labels: Ids
    mask: Mask
    segments: Ids | None = None
    values: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Span:
    """Positions ``start`` to ``end`` (exclusive) of a sequence, and the document or row that its tokens come from."""

    name: str
    start: int
    end: int


@dataclass(frozen=True)
class SetUse:
    """Use of one data set or corpus by a training.

    Attributes:
        name: name of the set.
        tokens: tokens of the set.
        trained: those of them that have a loss.
        passes: how often the whole training reads each of them.
    """

    name: str
    tokens: int
    trained: int
    passes: float


class Samples(ABC):
    """Sequences of one length, in the order of training."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of sequences."""

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """Return a sequence, in which at least one token has a loss."""

    def __deepcopy__(self, memo: object) -> Self:
        """Return the same object: NeMo copies the arguments of a training, and a copied memory map is in memory."""
        return self

    def sources(self, index: int) -> list[Span]:
        """Return where the tokens of a sequence come from; without padding."""
        return [Span(f"training sequence {index}", 0, len(self[index].tokens))]

    def uses(self) -> list[SetUse]:
        """Return the data sets that the sequences of all steps come from, if the samples know them."""
        return []

    def targets(self) -> Iterator[NDArray[np.integer]]:
        """Yield ids that together contain every label; a subclass need not read all sequences for that."""
        for index in range(len(self)):
            yield self[index].labels


class Excerpt(Samples):
    """Successive sequences of some samples."""

    def __init__(self, samples: Samples, indices: range) -> None:
        """Select the sequences."""
        self.samples, self.indices = samples, indices

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        """Return a sequence."""
        return self.samples[self.indices[index]]


@dataclass(frozen=True)
class TrainingData:
    """All data of a training run.

    Attributes:
        train: samples of all steps, in their order.
        validation: samples of the whole validation split; None if the loss on it is not measured.
        val_check_interval: steps between measurements of that loss.
        validation_categories: the same rows by category, in a fixed order; empty if only the whole loss is measured.
        report: counts of what the method read and dropped, for train_log.json; empty if its inputs have their own.
    """

    train: Samples
    validation: Samples | None = None
    val_check_interval: int = 0
    validation_categories: Mapping[str, Samples] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> list[Samples]:
        """Samples of training and validation."""
        return [self.train] if self.validation is None else [self.train, self.validation]

    def targets(self) -> Iterator[NDArray[np.integer]]:
        """Yield ids that together contain every label of training and validation."""
        for part in self.parts:
            yield from part.targets()

    def names(self, sequences: range) -> list[str]:
        """Return the names of the documents or rows in some sequences of ``train``, each once, in their order."""
        return list(dict.fromkeys(span.name for index in sequences for span in self.train.sources(index)))


def check_sample(sample: Sample, index: int) -> Sample:
    """Return the sample, which has a loss.

    Raises:
        NotEnoughData: no token of it has one.
    """
    if not sample.mask.any():
        raise NotEnoughData(
            f"No token of training sequence {index} has a loss.", "Correct the samples of the training method."
        )
    return sample
