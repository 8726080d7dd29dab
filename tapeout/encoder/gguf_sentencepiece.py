"""The SentencePiece BPE vocabulary in a GGUF file, from and to a ``tokenizer.model``.

A file has pieces, scores and types, which are what SentencePiece merges by. It has neither the unigram model nor a
normalizer: llama.cpp merges by scores only, and leaves texts as they are.
"""

import json
from collections.abc import Mapping
from typing import Any

from sentencepiece import sentencepiece_model_pb2 as protocol

from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.gguf_fields import (
    BYTE,
    CONTROL,
    NORMAL,
    ROLES,
    UNKNOWN,
    USER_DEFINED,
    check_list,
    check_pieces,
    special_id,
)
from tapeout.encoder.vocabulary import merge_ranks, parse


def tokenizer_files(fields: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the content of tokenizer.model and tokenizer_config.json.

    Args:
        fields: the metadata of a GGUF file.

    Raises:
        InvalidVocabulary: a field is missing, or has a value of another type; or there is not a piece for each byte.
    """
    scores = check_list(fields, "scores", float)
    pieces, types = check_pieces(fields, {NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE})
    if types.count(BYTE) != 256 or types.count(UNKNOWN) != 1 or len(scores) < len(pieces):
        raise InvalidVocabulary(
            f"The vocabulary in the GGUF file has {types.count(BYTE)} pieces for bytes, {types.count(UNKNOWN)} for "
            f"unknown text and {len(scores)} scores.",
            "Use a file with 256 pieces for bytes, one for unknown text, and a score for each piece.",
        )
    ids = {role: special_id(fields, name, len(pieces)) for name, role in ROLES.items()}
    proto = protocol.ModelProto()
    for piece, score, kind in zip(pieces, scores, types, strict=False):
        proto.pieces.add(piece=piece, score=score, type=kind)
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    trainer.model_type, trainer.byte_fallback, trainer.vocab_size = protocol.TrainerSpec.BPE, True, len(pieces)
    for role in ROLES.values():
        index = types.index(UNKNOWN) if role == "unk" else ids[role]
        setattr(trainer, f"{role}_id", -1 if index is None else index)
        if index is not None:
            setattr(trainer, f"{role}_piece", pieces[index])
    normalizer.name, normalizer.remove_extra_whitespaces = "identity", False
    normalizer.add_dummy_prefix = fields.get("tokenizer.ggml.add_space_prefix", True)
    settings: dict[str, Any] = {
        "tokenizer_class": "LlamaTokenizer",
        "legacy": False,
        "add_bos_token": bool(fields.get("tokenizer.ggml.add_bos_token", True)),
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        **{f"{role}_token": pieces[index] for role, index in ids.items() if index is not None},
    }
    if template := fields.get("tokenizer.chat_template"):
        settings["chat_template"] = template
    return {
        "tokenizer.model": proto.SerializeToString(deterministic=True),
        "tokenizer_config.json": (json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode(),
    }


def vocabulary_fields(content: bytes) -> dict[str, Any]:
    """Return the fields of a vocabulary without their prefix ``tokenizer.ggml.``, the inverse of ``tokenizer_files``.

    Args:
        content: content of a tokenizer.model.

    Raises:
        InvalidVocabulary: see ``vocabulary.parse`` and ``vocabulary.merge_ranks``.
    """
    proto = parse(content)
    merge_ranks(proto)
    return {
        "model": "llama",
        "pre": "default",
        "tokens": [piece.piece for piece in proto.pieces],
        "scores": [piece.score for piece in proto.pieces],
        "token_type": [piece.type for piece in proto.pieces],
        "add_space_prefix": proto.normalizer_spec.add_dummy_prefix,
    }
