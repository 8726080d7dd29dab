"""The byte-level BPE vocabulary in a GGUF file, from and to a ``tokenizer.json``.

Transformers 4 builds a wrong tokenizer from such a file: it puts a control token before every text, and decoding does
not restore the text. This module writes the file of the library ``tokenizers`` from the pieces and merges instead.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tapeout.encoder import tokenizer_json
from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.gguf_fields import CONTROL, NORMAL, ROLES, USER_DEFINED, check_list, check_pieces, special_id

DIGITS = {"type": "Digits", "individual_digits": True}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
UNSPLIT_BYTES = BYTES | {"use_regex": False}
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA_3, QWEN_2 = WORDS % "{1,3}", WORDS % ""
"""Patterns with which a text is split into words before merges."""

PRE_TOKENIZERS: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "gpt-2": [BYTES],
    "smollm": [DIGITS, BYTES],
    **{
        name: [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
            UNSPLIT_BYTES,
        ]
        for name, pattern in (("llama-bpe", LLAMA_3), ("qwen2", QWEN_2))
    },
}
"""Pre-tokenizers, which split texts into words, by the name in ``tokenizer.ggml.pre``."""
COMPOSED = ("qwen2",)
"""Pre-tokenizers whose tokenizers compose characters first (NFC); llama.cpp leaves that to its caller."""
WHOLE_WORDS = ("llama-bpe",)
"""Pre-tokenizers with which a word that is a piece is not merged (``ignore_merges``)."""

BEGIN = ("llama-bpe",)
"""Pre-tokenizers with which llama.cpp begins a text with bos if the file has no ``add_bos_token``.

Many files of Llama 3 have none."""


def tokenizer_files(fields: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the content of tokenizer.json and tokenizer_config.json.

    Args:
        fields: the metadata of a GGUF file.

    Raises:
        InvalidVocabulary: the vocabulary is not byte-level BPE, or splits texts in a way that is not known here; or a
            field is missing, or has a value of another type.
    """
    pre = fields.get("tokenizer.ggml.pre", "gpt-2")
    if pre not in PRE_TOKENIZERS:
        raise InvalidVocabulary(
            f"The GGUF file has a vocabulary of type 'gpt2' that splits words as {pre!r}, which cannot be converted.",
            f"Use a file that splits words as one of {', '.join(sorted(PRE_TOKENIZERS))}.",
        )
    check_list(fields, "merges", str)
    pieces, types = check_pieces(fields, {NORMAL, CONTROL, USER_DEFINED})
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
        "normalizer": {"type": "NFC"} if pre in COMPOSED else None,
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
            "ignore_merges": pre in WHOLE_WORDS,
            "vocab": ids,  # with the added tokens, which the library would otherwise number anew
            "merges": merges,
        },
    }
    settings: dict[str, Any] = {}
    for name, role in ROLES.items():
        index = special_id(fields, name, len(pieces))
        if index is not None:
            settings[f"{role}_token"] = pieces[index]
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    settings["add_bos_token"] = bool(fields.get("tokenizer.ggml.add_bos_token", pre in BEGIN))
    if template := fields.get("tokenizer.chat_template"):
        settings["chat_template"] = template
    return {
        "tokenizer.json": (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode(),
        "tokenizer_config.json": (json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode(),
    }


def vocabulary_fields(content: bytes) -> dict[str, Any]:
    """Return the fields of a vocabulary without their prefix ``tokenizer.ggml.``, the inverse of ``tokenizer_files``.

    Args:
        content: content of a tokenizer.json.

    Raises:
        InvalidVocabulary: it splits texts in a way that llama.cpp does not know by a name.
    """
    document = tokenizer_json.parse(content)
    types = {token["content"]: CONTROL if token.get("special") else USER_DEFINED for token in document["added_tokens"]}
    names = tokenizer_json.pieces(document)
    return {
        "model": "gpt2",
        "pre": pre_tokenizer(document),
        "tokens": names,
        "token_type": [types.get(name, NORMAL) for name in names],
        "merges": [" ".join(pair) for pair in tokenizer_json.merges(document)],
    }


def pre_tokenizer(document: tokenizer_json.Document) -> str:
    """Return the name by which llama.cpp knows the way in which a tokenizer splits texts.

    Raises:
        InvalidVocabulary: it has none.
    """
    steps = [_essential(step) for step in _members(document.get("pre_tokenizer"), "pretokenizers")]
    composed = any(_members(document.get("normalizer"), "normalizers"))
    whole = bool(document["model"].get("ignore_merges"))
    for name, known in PRE_TOKENIZERS.items():
        same = steps == [_essential(step) for step in known]
        if same and composed == (name in COMPOSED) and whole == (name in WHOLE_WORDS):
            return name
    raise InvalidVocabulary(
        f"The tokenizer splits texts as {json.dumps(steps, ensure_ascii=False)}, for which llama.cpp has no name that "
        "Tapeout knows.",
        f"A GGUF file needs a tokenizer that splits texts as one of {', '.join(sorted(PRE_TOKENIZERS))}.",
    )


def _members(step: Mapping[str, Any] | None, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield a component of a checked tokenizer.json, or the members of a sequence of components."""
    if step is not None and step["type"] == "Sequence":
        for member in step[name]:
            yield from _members(member, name)
    elif step is not None:
        yield step


def _essential(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a pre-tokenizer on which ids depend, with their defaults."""
    options: dict[str, dict[str, Any]] = {
        "ByteLevel": {"add_prefix_space": True, "use_regex": True},
        "Digits": {"individual_digits": False},
        "Split": {"pattern": None, "behavior": None, "invert": False},
    }
    kind = step["type"]
    return {"type": kind, **{name: step.get(name, default) for name, default in options.get(kind, {}).items()}}


def _added(index: int, piece: str, special: bool) -> dict[str, Any]:
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": index, "content": piece, **plain, "special": special}
