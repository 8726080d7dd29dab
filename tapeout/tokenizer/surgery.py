"""Embedding surgery: rows for new pieces, with all old rows unchanged.

A model's matrix may have tens of gigabytes. Nothing here copies it: old rows are views of a mapped file, and only new
rows are computed.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.extendable import Vocabulary

BLOCK_ROWS = 1024
"""Rows of a matrix that are converted at once."""


class Mixture(NamedTuple):
    """Initial row of a new piece: the weighted mean of old rows; a row of zeros if there are none.

    Attributes:
        ids: rows of the base model.
        weights: their weights, not all zero; normalized to sum to 1 when the row is computed.
    """

    ids: Sequence[int]
    weights: Sequence[float]


def parts_of_new_pieces(base: Vocabulary, extended: Vocabulary) -> list[list[int]]:
    """Return for each new piece the ids into which the base vocabulary splits it.

    The piece's own text is split, without a space before it: SentencePiece's dummy prefix would average a piece from
    the middle of a word as if it began one, and give a word-initial piece a second word mark.

    Raises:
        InvalidVocabulary: the extended model does not begin with the base model's pieces.
    """
    size, names = base.encoder.size, extended.names
    if len(names) < size or any(base.describe(index) != extended.describe(index) for index in range(size)):
        raise InvalidVocabulary(
            "The extended tokenizer does not begin with the pieces of the model's own tokenizer.",
            "Extend the tokenizer that the base model was trained with.",
        )
    return [base.split(name) for name in names[size:]]


def new_rows(rows: Tensor, mixtures: Sequence[Mixture]) -> Tensor:
    """Return the rows [n, d] of new pieces, computed from old rows [v, d] in 32 bits, in the type of the old rows."""
    new = rows.new_zeros(len(mixtures), rows.shape[1])
    for row, (ids, weights) in zip(new, mixtures, strict=True):
        if ids:
            each = torch.tensor(weights, dtype=torch.float32)
            row.copy_((rows[list(ids)].float() * each[:, None]).sum(0) / each.sum())
    return new


def centroid(rows: Tensor) -> Tensor:
    """Return the mean [d] of rows [v, d], summed in 64 bits in blocks of ``BLOCK_ROWS``."""
    total = torch.zeros(rows.shape[1], dtype=torch.float64)
    for start in range(0, len(rows), BLOCK_ROWS):
        total += rows[start : start + BLOCK_ROWS].double().sum(0)
    return (total / len(rows)).to(rows.dtype)


def check_old_rows(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
    """Raise ``InvalidVocabulary`` unless every tensor begins, bit for bit, with its old rows."""
    for name, old in before.items():
        new = after[name][: len(old)].contiguous()
        if not torch.equal(old.contiguous().view(torch.uint8), new.view(torch.uint8)):
            raise InvalidVocabulary(
                f"{name} differs from the base model in its first {len(old)} rows.",
                "Only append rows; do not convert, sort or renormalize the old ones.",
            )
