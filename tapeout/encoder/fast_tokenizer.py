"""A SentencePiece BPE model as a ``tokenizer.json``, the format of Hugging Face's library ``tokenizers``.

Servers encode with that library. It merges pairs by rank, where SentencePiece merges by the score of the resulting
piece and takes the leftmost of equal ones, so a piece with several splits needs its pairs in a suitable order. It
spells characters without a piece in bytes before it merges; where merges contain a line break or a tab, the piece of
that byte is therefore named by the character. Text between control pieces gets a word mark of its own, as in training:
``[bos, *encode(prompt)]``.
"""

import json
from collections.abc import Iterator, Set
from typing import Any

from tapeout.encoder.sentencepiece import KINDS, WORD_MARK
from tapeout.encoder.vocabulary import merge_ranks, parse, white_bytes

FILE = "tokenizer.json"
"""Name of the file."""
Pair = tuple[str, str]


def fast_tokenizer(model: bytes) -> str:
    """Return the content of a tokenizer.json that encodes as a SentencePiece model does.

    Raises:
        InvalidVocabulary: see ``vocabulary.parse``.
    """
    proto = parse(model)
    ranks = merge_ranks(proto)
    white = {name: text for name, text in white_bytes(proto).items() if any(text in piece for piece in ranks)}
    ids = {white.get(piece.piece, piece.piece): index for index, piece in enumerate(proto.pieces)}
    unknown, control, whole = (
        [piece.piece for piece in proto.pieces if piece.type == kind]
        for kind in (KINDS.UNKNOWN, KINDS.CONTROL, KINDS.USER_DEFINED)
    )
    bos = proto.trainer_spec.bos_piece
    prefix = [{"type": "Prepend", "prepend": WORD_MARK}] if proto.normalizer_spec.add_dummy_prefix else []
    blanks = {"type": "Replace", "pattern": {"String": " "}, "content": WORD_MARK}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(ids[name], name, name not in whole) for name in (*unknown, *control, *whole)],
        "normalizer": {"type": "Sequence", "normalizers": [*prefix, blanks]},
        "pre_tokenizer": None,
        "post_processor": _frame(bos, ids[bos]) if bos in control else None,
        "decoder": _decoder(bool(prefix)),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": next(iter(unknown), None),
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": ids,
            "merges": [list(pair) for pair in merges(ranks, set(white.values()))],
        },
    }
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def merges(ranks: dict[str, int], white: Set[str] = frozenset()) -> Iterator[Pair]:
    """Yield the pairs that make each piece, in the order in which SentencePiece merges them.

    Several pairs of one piece overlap in runs of a unit, such as blanks. SentencePiece merges a run from the left, so
    that its longer part is on the left.

    Args:
        ranks: rank of every normal piece.
        white: characters with a byte piece that merges contain.
    """
    parts = ranks.keys() | white
    for piece in sorted(ranks, key=ranks.__getitem__):
        for cut in range(len(piece) - 1, 0, -1):
            if piece[:cut] in parts and piece[cut:] in parts:
                yield piece[:cut], piece[cut:]


def _added(index: int, name: str, special: bool) -> dict[str, Any]:
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": index, "content": name, **plain, "special": special}


def _frame(bos: str, index: int) -> dict[str, Any]:
    """Return the post-processor that puts bos before a text, where the caller asks for special tokens."""
    begin = {"SpecialToken": {"id": bos, "type_id": 0}}
    texts = [{"Sequence": {"id": name, "type_id": number}} for number, name in enumerate("AB")]
    return {
        "type": "TemplateProcessing",
        "single": [begin, texts[0]],
        "pair": [begin, texts[0], {"SpecialToken": {"id": bos, "type_id": 1}}, texts[1]],
        "special_tokens": {bos: {"id": bos, "ids": [index], "tokens": [bos]}},
    }


def _decoder(prefix: bool) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": WORD_MARK}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefix:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": steps}
