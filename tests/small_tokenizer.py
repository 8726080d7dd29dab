"""A SentencePiece model with the settings of the Llama family, trained in a moment; the same bytes each time."""

import io
from collections.abc import Iterable

import sentencepiece


def train(lines: Iterable[str], pieces: int = 400, **more: object) -> bytes:
    """The model's file.

    Args:
        lines: of text to train on.
        pieces: in the vocabulary.
        more: other options of SentencePiece's trainer.
    """
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=written,
        model_type="bpe",
        vocab_size=pieces,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        byte_fallback=True,
        num_threads=1,
        minloglevel=2,
        **more,
    )
    return written.getvalue()
