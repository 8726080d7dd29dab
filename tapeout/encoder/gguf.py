"""The byte-level BPE vocabulary in a GGUF file, as a ``tokenizer.json``.

Transformers 4 builds a wrong tokenizer from such a file: it puts a control token before every text, and decoding does
not restore the text. This module writes the file of the library ``tokenizers`` from the pieces and merges instead.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tapeout.encoder.errors import InvalidVocabulary

NORMAL, CONTROL, USER_DEFINED = 1, 3, 4
"""Types of pieces in ``tokenizer.ggml.token_type`` that a byte-level vocabulary has."""

DIGITS = {"type": "Digits", "individual_digits": True}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
UNSPLIT_BYTES = BYTES | {"use_regex": False}
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Pattern with which a text is split into words before merges: that of the vocabulary of 128,000 pieces."""

PRE_TOKENIZERS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "gpt-2": [BYTES],
    "smollm": [DIGITS, BYTES],
    "llama-bpe": [
        {"type": "Split", "pattern": {"Regex": LLAMA_3}, "behavior": "Isolated", "invert": False},
        UNSPLIT_BYTES,
    ],
}
"""Pre-tokenizers, which split texts into words, by the name in ``tokenizer.ggml.pre``."""

BEGIN = ("llama-bpe",)
"""Pre-tokenizers with which llama.cpp begins a text with bos if the file has no ``add_bos_token``.

Many files of Llama 3 have none."""

LISTS = {"tokens": str, "token_type": int, "merges": str}
"""Lists that a vocabulary consists of, and the type of their values."""
OPTIONAL = {"tokenizer.ggml.pre": str, "tokenizer.ggml.add_bos_token": bool, "tokenizer.chat_template": str}
"""Fields that a file may have, and the type of their value."""

ROLES = {"bos": "bos", "eos": "eos", "padding": "pad", "unknown": "unk"}
"""Roles of special pieces: the file's names and Hugging Face's."""


def tokenizer_files(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the content of tokenizer.json and tokenizer_config.json.

    Args:
        fields: the metadata of a GGUF file.

    Raises:
        InvalidVocabulary: the vocabulary is not byte-level BPE, or splits texts in a way that is not known here; or a
            field is missing, or has a value of another type.
    """
    wrong_type = next((name for name, kind in OPTIONAL.items() if not isinstance(fields.get(name, kind()), kind)), None)
    if wrong_type is not None:
        raise InvalidVocabulary(
            f"The GGUF file has the field {wrong_type} with the value {fields[wrong_type]!r}.",
            "Use another file; this one is damaged.",
        )
    kind, pre = fields.get("tokenizer.ggml.model"), fields.get("tokenizer.ggml.pre", "gpt-2")
    if kind != "gpt2" or pre not in PRE_TOKENIZERS:
        raise InvalidVocabulary(
            f"The GGUF file has a vocabulary of type {kind!r} that splits words as {pre!r}, which cannot be converted.",
            f"Use a file with byte-level BPE (gpt2) that splits words as one of {', '.join(sorted(PRE_TOKENIZERS))}.",
        )
    for name, item_type in LISTS.items():
        values = fields.get(f"tokenizer.ggml.{name}")
        if not isinstance(values, list) or any(type(value) is not item_type for value in values):
            what = "texts" if item_type is str else "numbers"
            raise InvalidVocabulary(
                f"The GGUF file has no list of {what} in the field tokenizer.ggml.{name}.",
                "Use a file with its whole vocabulary, as current programs of llama.cpp write it.",
            )
    pieces, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    unexpected = sorted(set(types) - {NORMAL, CONTROL, USER_DEFINED})
    if unexpected or len(types) != len(pieces) or len(set(pieces)) != len(pieces):
        what = f"has pieces of type {unexpected[0]}" if unexpected else "repeats pieces, or lacks their types"
        raise InvalidVocabulary(f"The vocabulary in the GGUF file {what}.", "Use another file; this one is damaged.")
    ids = {piece: index for index, piece in enumerate(pieces)}
    added = [(piece, kind) for piece, kind in zip(pieces, types, strict=True) if kind != NORMAL]
    merges = [merge.split(" ") for merge in fields["tokenizer.ggml.merges"]]
    wrong = next((pair for pair in merges if len(pair) != 2 or not {*pair, "".join(pair)} <= ids.keys()), None)
    if wrong is not None:
        raise InvalidVocabulary(
            f"The GGUF file has the merge {' '.join(wrong)!r}, of which no piece is made.", "Use another file."
        )
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(ids[piece], piece, kind == CONTROL) for piece, kind in added],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(PRE_TOKENIZERS[pre])},
        "post_processor": None,
        "decoder": BYTES | {"add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": pre == "llama-bpe",
            "vocab": ids,  # with the added tokens, which the library would otherwise number anew
            "merges": merges,
        },
    }
    settings: dict[str, Any] = {}
    for name, role in ROLES.items():
        index = fields.get(field := f"tokenizer.ggml.{name}_token_id")
        if index is None:
            continue
        if type(index) is not int or not 0 <= index < len(pieces):
            raise InvalidVocabulary(
                f"The GGUF file has the field {field} with the value {index!r}, and pieces 0 to {len(pieces) - 1}.",
                "Use another file; this one is damaged.",
            )
        settings[f"{role}_token"] = pieces[index]
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    settings["add_bos_token"] = bool(fields.get("tokenizer.ggml.add_bos_token", pre in BEGIN))
    if template := fields.get("tokenizer.chat_template"):
        settings["chat_template"] = template
    return {
        "tokenizer.json": json.dumps(content, ensure_ascii=False, indent=1) + "\n",
        "tokenizer_config.json": json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n",
    }


def _added(index: int, piece: str, special: bool) -> dict[str, Any]:
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": index, "content": piece, **plain, "special": special}
