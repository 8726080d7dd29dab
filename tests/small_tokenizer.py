"""A small SentencePiece model with the settings of the Llama family; training is fast and reproducible."""

import io
from collections.abc import Iterable

import sentencepiece


def train(lines: Iterable[str], pieces: int = 400, **more: object) -> bytes:
    """Return the content of a model file.

    Args:
        lines: text to train on.
        pieces: size of the vocabulary.
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
