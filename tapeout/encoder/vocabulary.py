"""SentencePiece models as data: the order of merges, and models with more pieces.

A model is a protocol buffer of pieces with scores. In a BPE model the score is the merge order: of all neighbouring
pairs whose concatenation is a piece, the one with the highest score is merged first, the leftmost of equals.

Only the steps that extend a vocabulary import this module, so that an edit here does not retrain a model.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy
from sentencepiece import sentencepiece_model_pb2 as protocol

from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.extendable import Vocabulary
from tapeout.encoder.sentencepiece import KINDS, WORD_MARK, PieceFacts, SentencePieceEncoder, read_proto

NORMAL = KINDS.NORMAL
WHITE_BYTES = {"<0x09>": "\t", "<0x0A>": "\n"}
"""Byte pieces of white space, as merges write them: SentencePiece merges characters, and spells in bytes what is left.

Other characters without a piece are left out: only text that is full of them has merges of them.
"""


def parse(model: bytes) -> protocol.ModelProto:
    """Return the protocol buffer of a model.

    Raises:
        InvalidVocabulary: it is not BPE with byte fallback and an identity normalizer; with anything else the continued
            merges would differ from SentencePiece's, or lose text.
    """
    proto = read_proto(model)
    bpe = proto.trainer_spec.model_type == protocol.TrainerSpec.BPE
    exact = proto.normalizer_spec.name == "identity" and not proto.normalizer_spec.remove_extra_whitespaces
    if not (bpe and exact and proto.trainer_spec.byte_fallback):
        raise InvalidVocabulary(
            "The base tokenizer is not a SentencePiece BPE model with byte fallback and identity normalization.",
            "Set tokenizer.model_file to such a model, for instance that of Llama 2 or Mistral 7B.",
        )
    return proto


def reserved_names(proto: protocol.ModelProto) -> list[str]:
    """Return the names of the pieces that are not made by merges: control, unknown, byte and user-defined pieces."""
    return [piece.piece for piece in proto.pieces if piece.type != NORMAL]


def merge_ranks(proto: protocol.ModelProto) -> dict[str, int]:
    """Return the rank of every normal piece in the merge order, 0 first; of equal scores the lower id first.

    Raises:
        InvalidVocabulary: the model has unused pieces.
    """
    unused = next((piece.piece for piece in proto.pieces if piece.type == KINDS.UNUSED), None)
    if unused is not None:
        raise InvalidVocabulary(
            f"The base tokenizer has the unused piece {unused!r}, which SentencePiece merges and splits again.",
            "Set tokenizer.model_file to a model without unused pieces.",
        )
    order = sorted(
        (index for index, piece in enumerate(proto.pieces) if piece.type == NORMAL),
        key=lambda index: (-proto.pieces[index].score, index),
    )
    return {proto.pieces[index].piece: rank for rank, index in enumerate(order)}


def white_bytes(proto: protocol.ModelProto) -> dict[str, str]:
    """Return the white space that only a byte piece represents, by the name of that piece."""
    names = {piece.piece for piece in proto.pieces}
    return {name: text for name, text in WHITE_BYTES.items() if name in names and text not in names}


def extend(model: bytes, pieces: list[str]) -> bytes:
    """Return the model with ``pieces`` appended as normal pieces.

    Their scores descend from the lowest base score in the smallest steps of a 32-bit float, so that every base merge
    is done before any new one, and the new ones in the given order. (User-defined pieces would be matched before all
    merges, in any context.)
    """
    proto = parse(model)
    score = min(numpy.float32(piece.score) for piece in proto.pieces)
    for piece in pieces:
        score = numpy.nextafter(score, numpy.float32("-inf"))
        proto.pieces.add(piece=piece, score=float(score), type=NORMAL)
    proto.trainer_spec.vocab_size = len(proto.pieces)
    serialized: bytes = proto.SerializeToString(deterministic=True)
    return serialized


def encoder_without_prefix(model: bytes) -> SentencePieceEncoder:
    """Return an encoder that puts no space before the first character of a text.

    It splits a piece into its parts as they are: a piece from the middle of a word does not begin one, and a
    word-initial piece gets no second word mark.
    """
    proto = parse(model)
    proto.normalizer_spec.add_dummy_prefix = False
    return SentencePieceEncoder(proto.SerializeToString(deterministic=True))


def piece_text(piece: str) -> str:
    """Return the text that a piece represents."""
    return piece.replace(WORD_MARK, " ")


class SentencePieceVocabulary(Vocabulary):
    """A SentencePiece model."""

    separator = ""

    def __init__(self, content: bytes) -> None:
        """Load the content of a model file.

        Raises:
            InvalidVocabulary: see ``parse`` and ``merge_ranks``.
        """
        self.content = content
        proto = parse(content)
        self.encoder = self.sentencepiece = SentencePieceEncoder(content)
        self.ranks = merge_ranks(proto)
        self.reserved_names = list(map(piece_text, reserved_names(proto)))
        self.white_bytes = white_bytes(proto)

    def encode_parts(self, texts: Sequence[str], threads: int) -> Iterator[list[list[int]]]:
        """Yield the ids of each text, in one part."""
        for ids in self.encoder.encode_batch(list(texts), threads):
            yield [ids]

    def text_of(self, index: int) -> str | None:
        """Return the text of a piece; None for a control piece, the unknown piece, and a byte that no merge can use."""
        piece, _, *special = self.sentencepiece.describe(index)
        return self.white_bytes.get(piece) if any(special) else piece_text(piece)

    @property
    def symbols(self) -> list[str]:
        """The names of all pieces by id, as merges write them; see ``WHITE_BYTES``."""
        return [self.white_bytes.get(name, name) for name in self.names]

    def spelling(self, piece: str) -> str:
        """Return the text of a piece."""
        return piece_text(piece)

    def piece_name(self, text: str) -> str:
        """Return the name that a piece with this text has."""
        return text.replace(" ", WORD_MARK)

    def with_merges(self, merges: Sequence[str]) -> "SentencePieceVocabulary":
        """Return the model with more pieces; see ``extend``."""
        return SentencePieceVocabulary(extend(self.content, list(merges)))

    def split(self, piece: str) -> list[int]:
        """Return the ids into which the model splits the text of a piece, without a space before it."""
        return self._without_prefix.encode(piece_text(piece))

    def describe(self, index: int) -> PieceFacts:
        """Return what the model states about a piece."""
        return self.sentencepiece.describe(index)

    @cached_property
    def _without_prefix(self) -> SentencePieceEncoder:
        return encoder_without_prefix(self.content)
