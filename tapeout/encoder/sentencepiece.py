"""Encoder for SentencePiece models."""

from collections import Counter
from pathlib import Path

import sentencepiece
from google.protobuf.message import DecodeError
from sentencepiece import sentencepiece_model_pb2 as protocol

from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.interface import Encoder, Token

MODEL_FILE = "tokenizer.model"
WORD_MARK = "\N{LOWER ONE EIGHTH BLOCK}"
"""The character that represents a space in pieces; if a text contains it, it decodes to a space."""

KINDS = protocol.ModelProto.SentencePiece
ATOMIC = {KINDS.BYTE, KINDS.CONTROL, KINDS.UNKNOWN}
"""Types of pieces that no merge makes."""

FIX = "Use another SentencePiece model: tokenizer.source and tokenizer.model_file name the one that is extended."

PieceFacts = tuple[str, float, bool, bool, bool]
"""A piece, its score, and whether it is a byte, a control piece or the unknown piece."""


class SentencePieceEncoder(Encoder):
    """SentencePiece's own encoder."""

    reserved_characters = WORD_MARK

    def __init__(self, model: bytes) -> None:
        """Load the content of a model file.

        Raises:
            InvalidVocabulary: see ``read_proto``; or SentencePiece does not accept the model.
        """
        pieces = read_proto(model).pieces
        self.model = model
        try:
            self.processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise InvalidVocabulary(f"SentencePiece does not load the tokenizer ({error}).", FIX) from error
        self.size = self.processor.get_piece_size()
        self.bos = optional(self.processor.bos_id())
        self.eos = self.processor.eos_id()
        self.pad = optional(self.processor.pad_id())
        self.unk = optional(self.processor.unk_id())
        self.byte_fallback = any(piece.type == KINDS.BYTE for piece in pieces)
        self.control_pieces = {piece.piece: index for index, piece in enumerate(pieces) if piece.type == KINDS.CONTROL}
        self.added_pieces = {
            piece.piece: index for index, piece in enumerate(pieces) if piece.type == KINDS.USER_DEFINED
        }

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without special ids."""
        ids: list[int] = self.processor.encode(text)
        return ids

    def encode_batch(self, texts: list[str], threads: int = -1) -> list[list[int]]:
        """Return the ids of each text; see ``Encoder.encode_batch``."""
        ids: list[list[int]] = self.processor.encode(texts, out_type=int, num_threads=threads)
        return ids

    def encode_spans(self, text: str) -> list[Token]:
        """Return the tokens of a text, each with the characters that it represents."""
        encoded = self.processor.encode(text, out_type="immutable_proto")
        return [(token.id, token.begin, token.end) for token in encoded.pieces]

    def decode(self, ids: list[int]) -> str:
        """Return the text of some ids; special ids have none."""
        text: str = self.processor.decode(ids)
        return text

    def id_to_piece(self, index: int) -> str:
        """Return a piece as the vocabulary writes it."""
        piece: str = self.processor.id_to_piece(index)
        return piece

    def id_to_bytes(self, index: int) -> bytes:
        """Return the UTF-8 bytes that a piece represents; a control piece represents its name."""
        piece = self.id_to_piece(index)
        if self.processor.is_byte(index):
            return bytes([int(piece[3:-1], 16)])  # <0x0A>
        return piece.replace(WORD_MARK, " ").encode()

    def model_files(self) -> dict[str, bytes]:
        """Return the files of the tokenizer in a Hugging Face folder; see ``Encoder.model_files``."""
        return {MODEL_FILE: self.model}

    def describe(self, index: int) -> PieceFacts:
        """Return what a model states about a piece."""
        processor = self.processor
        kinds = processor.is_byte(index), processor.is_control(index), processor.is_unknown(index)
        return self.id_to_piece(index), processor.get_score(index), *kinds


def load(path: Path) -> SentencePieceEncoder:
    """Read a model file, or the file ``tokenizer.model`` of a folder."""
    return SentencePieceEncoder((path / MODEL_FILE if path.is_dir() else path).read_bytes())


def read_proto(model: bytes) -> protocol.ModelProto:
    """Return the protocol buffer of a model.

    SentencePiece looks up the names of control, byte and unknown pieces before those of other pieces. If two pieces had
    one name, a text with it would encode to another byte, or the whole text to nothing.

    Raises:
        InvalidVocabulary: the content is not a SentencePiece model, or two of its pieces have the same name.
    """
    try:
        proto = protocol.ModelProto.FromString(model)
    except DecodeError as error:
        raise InvalidVocabulary(f"The tokenizer is not a SentencePiece model ({error}).", FIX) from error
    if not proto.pieces:  # SentencePiece would crash
        raise InvalidVocabulary("The tokenizer is not a SentencePiece model (it has no pieces).", FIX)
    counts = Counter(piece.piece for piece in proto.pieces)
    repeated = next((name for name, count in counts.items() if count > 1), None)
    if repeated is not None:
        raise InvalidVocabulary(f"The tokenizer has two pieces with the name {repeated!r}.", FIX)
    return proto


def optional(index: int) -> int | None:
    """Return a special id; SentencePiece says -1 for one that the vocabulary does not have."""
    return None if index < 0 else index
