"""New rows for new pieces."""

import torch
from torch import Tensor

from tapeout.encoder.vocabulary import encoder_without_prefix, parse, piece_text
from tapeout.errors import TapeoutError


class TokenizerMismatch(TapeoutError):
    """The extended tokenizer does not extend the one that the model was trained with."""


class OldRowsChanged(TapeoutError):
    """A row of a piece that was there before is not bit for bit the same."""


def parts_of_new_pieces(base: bytes, extended: bytes) -> list[list[int]]:
    """For each new piece, the ids of the parts that the base model cuts it into.

    The piece's own text is cut, with no space put before it: the dummy prefix would average a piece from the middle
    of a word as if it began one, and give a word-initial piece a second word mark (F14).

    Raises:
        TokenizerMismatch: the extended model does not begin with the base model's pieces.
    """
    before, after = parse(base).pieces, parse(extended).pieces
    if list(after[: len(before)]) != list(before):
        raise TokenizerMismatch(
            "The extended tokenizer does not begin with the pieces of the model's own tokenizer.",
            "Extend the tokenizer that the base model was trained with (F11).",
        )
    model = encoder_without_prefix(base)
    return [model.encode(piece_text(piece.piece)) for piece in after[len(before) :]]


def mean_rows(rows: Tensor, parts: list[list[int]]) -> Tensor:
    """Rows [v, d] with one row more for each new piece: the mean of its parts' rows."""
    new = [rows[ids].mean(0) for ids in parts]
    return torch.cat([rows, torch.stack(new)]) if new else rows.clone()


def zero_rows(rows: Tensor, parts: list[list[int]]) -> Tensor:
    """Rows [v, d] with one row of zeros more for each new piece."""
    return torch.cat([rows, rows.new_zeros(len(parts), rows.shape[1])])


def check_old_rows(before: dict[str, Tensor], after: dict[str, Tensor]) -> None:
    """Raise ``OldRowsChanged`` unless every tensor begins, bit for bit, with what it was before."""
    for name, old in before.items():
        new = after[name][: len(old)].contiguous()
        if not torch.equal(old.contiguous().view(torch.uint8), new.view(torch.uint8)):
            raise OldRowsChanged(
                f"{name} is not bit for bit the base model's in its first {len(old)} rows.",
                "Only append rows; do not convert, sort or renormalise the old ones.",
            )
