"""Encoder for byte-level BPE vocabularies, the ``tokenizer.json`` of GPT-2, Llama 3, SmolLM2, Qwen and others.

The library ``tokenizers`` encodes. It would find the names of special tokens in a text and replace them by their ids;
so it gets the vocabulary without them, and their names are text like any other.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from tapeout.encoder import tokenizer_json
from tapeout.encoder.interface import Encoder, Token
from tapeout.encoder.tokenizer_json import BEGIN, BYTES, UNUSED, Document, refuse


class ByteLevelEncoder(Encoder):
    """The encoder of the library ``tokenizers``."""

    reserved_characters = ""

    def __init__(self, content: bytes) -> None:
        """Load the content of a tokenizer.json that states the roles of its pieces (``tokenizer_json.with_roles``).

        Raises:
            InvalidVocabulary: see ``tokenizer_json.parse``; it names no piece that ends a text; or the library does not
                accept it.
        """
        document = tokenizer_json.parse(content)
        self.content = content
        self.names = tokenizer_json.pieces(document)
        ids = {name: index for index, name in enumerate(self.names)}
        added = {token["content"]: bool(token.get("special")) for token in document["added_tokens"]}
        self.control_pieces = {name: ids[name] for name, special in added.items() if special}
        self.added_pieces = {name: ids[name] for name, special in added.items() if not special}
        self.control_ids = frozenset(self.control_pieces.values())
        self.tokenizer = plain_tokenizer(document, self.control_pieces)
        self.size = len(self.names)
        roles = tokenizer_json.roles(document)
        first = tokenizer_json.first_special_piece(document)
        if first is not None and first != roles.get("bos_token", first):
            refuse(f"it begins texts with {first!r}, but the settings beside it name {roles['bos_token']!r}")
        bos = roles.get("bos_token", first)
        self.bos = None if bos is None else ids[bos]
        self.begins = self.bos is not None and (first is not None or BEGIN in roles)
        if "eos_token" not in roles:
            refuse("it names no token that ends a text; put tokenizer_config.json with eos_token beside it")
        self.eos = ids[roles["eos_token"]]
        self.pad = ids[roles["pad_token"]] if "pad_token" in roles else None
        self.missing = frozenset(byte for visible, byte in BYTES.items() if visible not in ids) - UNUSED
        unknown = document["model"].get("unk_token")
        self.unk = ids[unknown] if self.missing and unknown is not None else None
        self.byte_fallback = not self.missing
        self.bytes = [piece_bytes(name) if name not in added else name.encode() for name in self.names]

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without special ids."""
        ids: list[int] = self._encoding(text).ids
        return ids

    def encode_batch(self, texts: list[str], threads: int = -1) -> list[list[int]]:
        """Return the ids of each text; the library chooses the number of threads."""
        try:
            return [encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        except TypeError:
            return [self.encode(text) for text in texts]

    def encode_spans(self, text: str) -> list[Token]:
        """Return the tokens of a text, each with the characters that it represents.

        The library gives each token all characters of which it has a byte; a character belongs to its last one.
        """
        encoding = self._encoding(text)
        offsets: Sequence[tuple[int, int]] = encoding.offsets
        ends = [min(end, start) for (_, end), (start, _) in pairwise(offsets)] + [len(text)]
        tokens: list[Token] = []
        last = 0
        for token, end in zip(encoding.ids, ends, strict=False):
            first, last = last, max(last, end)
            tokens.append((token, first, last))
        return tokens

    def decode(self, ids: list[int]) -> str:
        """Return the text of some ids; special ids have none, and bytes that are not UTF-8 become U+FFFD."""
        return b"".join(self.bytes[index] for index in ids if index not in self.control_ids).decode(errors="replace")

    def id_to_piece(self, index: int) -> str:
        """Return a piece as the vocabulary writes it."""
        return self.names[index]

    def id_to_bytes(self, index: int) -> bytes:
        """Return the bytes that a piece represents; a control piece represents its name."""
        return self.bytes[index]

    def is_altered(self, text: str) -> bool:
        """Return whether decoding gives another text: one that is not in NFC, or has a byte without a piece."""
        normalizer = self.tokenizer.normalizer
        if normalizer is not None and normalizer.normalize_str(text) != text:
            return True
        return bool(self.missing) and not self.missing.isdisjoint(text.encode())

    @property
    def bos_ids(self) -> list[int]:
        """The ids that every sequence starts with: bos, if the tokenizer itself puts it there."""
        return [self.bos] if self.begins and self.bos is not None else []

    @property
    def reserved_names(self) -> list[str]:
        """The names that other programs encode as one token wherever they occur in a text, unlike this encoder."""
        return sorted(self.control_pieces)

    def model_files(self) -> dict[str, bytes]:
        """Return the files of the tokenizer in a Hugging Face folder; see ``Encoder.model_files``."""
        return {tokenizer_json.FILE: tokenizer_json.without_roles(self.content)}

    def model_settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the content of tokenizer_config.json; a family's settings are about another kind of tokenizer."""
        ids = {"bos_token": self.bos, "eos_token": self.eos, "pad_token": self.pad, "unk_token": self.unk}
        return {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "add_bos_token": self.begins,
            "clean_up_tokenization_spaces": False,  # else transformers removes blanks before punctuation
            "model_input_names": ["input_ids", "attention_mask"],
            **{role: self.names[index] for role, index in ids.items() if index is not None},
        }

    def _encoding(self, text: str) -> Encoding:
        try:
            return self.tokenizer.encode(text, add_special_tokens=False)
        except TypeError:
            text.encode()  # raises the error about a lone surrogate, which the library reports as a wrong type
            raise


def load(path: Path) -> ByteLevelEncoder:
    """Read a tokenizer file, or ``tokenizer.json`` of a folder, and the roles of its pieces."""
    return ByteLevelEncoder(tokenizer_json.read(path))


def piece_bytes(name: str) -> bytes:
    """Return the bytes that a piece represents; one that is not written in visible bytes represents its own name."""
    try:
        return bytes(BYTES[character] for character in name)
    except KeyError:
        return name.encode()


def plain_tokenizer(document: Document, control: dict[str, int]) -> Tokenizer:
    """Return the library's tokenizer of plain text, to which the names of control pieces are text.

    Raises:
        InvalidVocabulary: the library does not accept the document.
    """
    model = document["model"]
    kept = [token for token in document["added_tokens"] if token["content"] not in control]
    # the library numbers added tokens anew unless the vocabulary has them; it takes a word that is a whole piece as
    # that piece (ignore_merges), so the vocabulary must not have the names of control pieces
    vocabulary = model["vocab"] | {token["content"]: token["id"] for token in kept}
    unknown = model.get("unk_token")
    plain = {name: index for name, index in vocabulary.items() if name not in control or name == unknown}
    pipeline = {name: document.get(name) for name in ("version", "normalizer", "pre_tokenizer")}
    rest = {"truncation": None, "padding": None, "post_processor": None, "decoder": None, "added_tokens": kept}
    try:
        return Tokenizer.from_str(json.dumps({**pipeline, **rest, "model": {**model, "vocab": plain}}))
    except Exception as error:  # noqa: BLE001  # the library raises Exception itself
        refuse(f"the library tokenizers does not load it ({error})")
