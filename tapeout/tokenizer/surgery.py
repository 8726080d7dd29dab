"""Embedding surgery: rows for new pieces, with all old rows unchanged."""

import torch
from torch import Tensor

from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.extendable import Vocabulary


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


def mean_rows(rows: Tensor, parts: list[list[int]]) -> Tensor:
    """Return rows [v, d] with one more row for each new piece: the mean of the rows of its parts, in their type."""
    new = [rows[ids].float().mean(0).to(rows.dtype) for ids in parts]
    return torch.cat([rows, torch.stack(new)]) if new else rows.clone()


def zero_rows(rows: Tensor, parts: list[list[int]]) -> Tensor:
    """Return rows [v, d] with one more row of zeros for each new piece."""
    return torch.cat([rows, rows.new_zeros(len(parts), rows.shape[1])])


def check_old_rows(before: dict[str, Tensor], after: dict[str, Tensor]) -> None:
    """Raise ``InvalidVocabulary`` unless every tensor begins, bit for bit, with its old rows."""
    for name, old in before.items():
        new = after[name][: len(old)].contiguous()
        if not torch.equal(old.contiguous().view(torch.uint8), new.view(torch.uint8)):
            raise InvalidVocabulary(
                f"{name} differs from the base model in its first {len(old)} rows.",
                "Only append rows; do not convert, sort or renormalize the old ones.",
            )
