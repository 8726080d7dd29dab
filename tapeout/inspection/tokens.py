"""Rows as tokens with their loss masks, the way the trainings see them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tapeout.config.inspection import InspectJob
from tapeout.data.encode.prompt import encode_example
from tapeout.encoder.bulk import bulk_encoder
from tapeout.encoder.load import load_encoder

Encoded = tuple[list[int], list[int]]
"""Ids, and a mask of the same length: 1 where the loss counts."""


@dataclass(frozen=True)
class Shape:
    """What is counted of a row.

    Attributes:
        tokens: it has.
        trained: of them have a loss.
        fits: whether it is no longer than a training sequence; documents are cut, so they always do.
    """

    tokens: int
    trained: int
    fits: bool = True


class Tokens:
    """Encodes rows of a set.

    Args:
        model: extended tokenizer.
        job: template and length of instruction rows.
    """

    def __init__(self, model: Path, job: InspectJob) -> None:
        self.encoder = load_encoder(model)
        self.texts = bulk_encoder(self.encoder, np.dtype(np.uint32), append_eos=False)
        self.job = job

    def shape(self, row: Mapping[str, Any]) -> Shape:
        """Tokens of a document or of a row of our own."""
        if "text" in row:
            count = len(self.texts.encode(row["text"])) // 4
            return Shape(count, count)
        ids, mask = encode_example(self.encoder, self.job.template, row["input"], row["output"])
        return Shape(len(ids), sum(mask[1:]), len(ids) <= self.job.seq_length + 1)

    def pieces(self, row: Mapping[str, Any], encoded: Encoded | None, most: int) -> list[tuple[str, int]]:
        """The first ``most`` tokens of a row, each with the 1 or 0 of its mask."""
        if encoded is None and "text" in row:
            ids = self.encoder.encode(row["text"][: 8 * most])[:most]
            encoded = ids, [1] * len(ids)
        ids, mask = encoded or encode_example(self.encoder, self.job.template, row["input"], row["output"])
        return [(self.encoder.id_to_piece(token), bit) for token, bit in zip(ids[:most], mask[:most], strict=True)]
