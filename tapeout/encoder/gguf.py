"""The vocabulary in a GGUF file, from and to the files of a tokenizer; its type decides the implementation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tapeout.encoder import gguf_byte_level, gguf_sentencepiece
from tapeout.encoder.byte_level import ByteLevelEncoder
from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.gguf_fields import ROLES, check_optional, padded
from tapeout.encoder.load import load_encoder
from tapeout.encoder.sentencepiece import SentencePieceEncoder

KINDS = {"gpt2": gguf_byte_level.tokenizer_files, "llama": gguf_sentencepiece.tokenizer_files}
"""Readers of vocabularies by the type in ``tokenizer.ggml.model``."""


def tokenizer_files(fields: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the content of the tokenizer's file and of tokenizer_config.json.

    Args:
        fields: the metadata of a GGUF file.

    Raises:
        InvalidVocabulary: the vocabulary is neither byte-level BPE nor SentencePiece BPE, or splits texts in a way that
            is not known here; or a field is missing, or has a value of another type.
    """
    check_optional(fields)
    kind = fields.get("tokenizer.ggml.model")
    if kind not in KINDS:
        raise InvalidVocabulary(
            f"The GGUF file has a vocabulary of type {kind!r}, which cannot be converted.",
            "Use a file with byte-level BPE (gpt2) or SentencePiece BPE (llama).",
        )
    return KINDS[kind](fields)


def tokenizer_fields(tokenizer: Path, rows: int) -> dict[str, Any]:
    """Return the fields of a file, without their prefix ``tokenizer.ggml.``, in the order in which they are written.

    Args:
        tokenizer: file or folder of the tokenizer.
        rows: rows of the embedding; those beyond the last piece get an unused piece each.

    Raises:
        InvalidVocabulary: llama.cpp cannot encode as this tokenizer does.
    """
    encoder = load_encoder(tokenizer)
    if isinstance(encoder, SentencePieceEncoder):
        fields = gguf_sentencepiece.vocabulary_fields(encoder.model)
    elif isinstance(encoder, ByteLevelEncoder) and encoder.byte_fallback:
        fields = gguf_byte_level.vocabulary_fields(encoder.content)
    else:
        raise InvalidVocabulary(
            f"The tokenizer of {type(encoder).__module__} cannot be written to a GGUF file.",
            "Use a SentencePiece BPE model, or a byte-level BPE with a piece for each byte.",
        )
    ids = {f"{name}_token_id": getattr(encoder, role) for name, role in ROLES.items()}
    known = {name: index for name, index in ids.items() if index is not None}
    return {**padded(fields, rows), **known, "add_bos_token": bool(encoder.bos_ids), "add_eos_token": False}
