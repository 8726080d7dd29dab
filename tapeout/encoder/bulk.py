"""Encode large corpora: the same ids as the encoder's, several times faster for SentencePiece models.

In a BPE model a merge joins two neighbours to a piece of the vocabulary. Where two characters are neighbours in no
piece, no merge can join them, and the ids of a text are those of its parts. A text is cut there into units, which recur
so often that most are looked up. Which pairs of characters are neighbours is read off the vocabulary.

Training steps do not import this module, so that an edit here does not retrain a model.
"""

from array import array

import numpy as np
from numpy.typing import NDArray

from tapeout.encoder.interface import Encoder
from tapeout.encoder.sentencepiece import ATOMIC, WORD_MARK, SentencePieceEncoder
from tapeout.encoder.vocabulary import encoder_without_prefix, parse

MARK, OTHER = 127, 128
"""Classes of characters: one for each ASCII character, one for the space and its mark, one for all others."""
CLASSES = 129
ASCII = bytes(MARK if code == ord(" ") else min(code, OTHER - 1) + (code == MARK) for code in range(256))
"""Class of each ASCII character."""
SEPARATOR = "\0"
"""Stands between units while a text is cut; texts of a corpus do not contain it."""
CACHED_UNITS = 600_000
"""Maximum number of cached units, about 150 bytes each; frequent units come early."""
MAX_CACHED_BYTES = 200
"""Maximum size of the ids of a cached unit."""

Codes = NDArray[np.uint8] | NDArray[np.uint32]
"""Characters as numbers: bytes if all are ASCII."""


class BulkEncoder:
    """Encodes texts to the bytes of their ids."""

    def __init__(self, encoder: Encoder, dtype: np.dtype[np.generic], append_eos: bool) -> None:
        """Prepare the encoding.

        Args:
            encoder: the tokenizer.
            dtype: type of the stored ids.
            append_eos: whether the end-of-sequence id follows each text that has an id.
        """
        self.encoder = encoder
        self.dtype = dtype
        self.eos = np.array([encoder.eos], dtype=dtype).tobytes() if append_eos else b""

    def encode(self, text: str) -> bytes:
        """Return the stored ids of a text."""
        return self.encode_text(text) + self.eos if text else b""

    def encode_text(self, text: str) -> bytes:
        """Return the stored ids of a text that is not empty, without the end-of-sequence id."""
        return np.array(self.encoder.encode(text), dtype=self.dtype).tobytes()


class UnitCache(dict[str, bytes]):
    """Stored ids of each unit, encoded at its first use."""

    def __init__(self, encoder: SentencePieceEncoder, dtype: np.dtype[np.generic]) -> None:
        """Start with an empty cache."""
        self.processor = encoder.processor
        self.code = dtype.char

    def __missing__(self, unit: str) -> bytes:
        """Encode a unit, and cache its ids if they are short."""
        ids = array(self.code, self.processor.encode(unit)).tobytes()
        if len(ids) <= MAX_CACHED_BYTES and len(self) < CACHED_UNITS:
            self[unit] = ids
        return ids


class UnitEncoder(BulkEncoder):
    """Bulk encoder for SentencePiece BPE models."""

    def __init__(self, encoder: SentencePieceEncoder, dtype: np.dtype[np.generic], append_eos: bool) -> None:
        """Read the boundaries of units off the vocabulary.

        Raises:
            InvalidVocabulary: see ``vocabulary.parse``.
        """
        super().__init__(encoder, dtype, append_eos)
        proto = parse(encoder.model)
        self.prefix = " " if proto.normalizer_spec.add_dummy_prefix else ""
        self.units = UnitCache(encoder_without_prefix(encoder.model), dtype)
        self.is_boundary = np.ones(CLASSES * CLASSES, dtype=np.bool_)
        pieces = [piece.piece for piece in proto.pieces if piece.type not in ATOMIC and len(piece.piece) > 1]
        self.is_boundary[pairs(codes(SEPARATOR.join(piece for piece in pieces if SEPARATOR not in piece)))] = False
        # the pairs with the separator come from the join above, not from a piece
        classes = np.arange(CLASSES)
        self.is_boundary[classes * CLASSES + ord(SEPARATOR)] = True
        self.is_boundary[ord(SEPARATOR) * CLASSES + classes] = True
        for piece in pieces:
            if SEPARATOR in piece:
                self.is_boundary[pairs(codes(piece))] = False

    def encode_text(self, text: str) -> bytes:
        """Return the stored ids of a text that is not empty, without the end-of-sequence id."""
        return b"".join(map(self.units.__getitem__, self.split(self.prefix + text)))

    def split(self, text: str) -> list[str]:
        """Split a text that is not empty into units."""
        characters = codes(text)
        is_boundary = self.is_boundary[pairs(characters)]
        if SEPARATOR in text:
            starts = (np.flatnonzero(is_boundary) + 1).tolist()
            return list(map(text.__getitem__, map(slice, [0, *starts], [*starts, len(text)])))
        # write each character before a boundary twice; the second of the two becomes the separator
        boundaries = np.flatnonzero(is_boundary)
        times = np.ones(len(characters), dtype=np.uint8)
        times[boundaries] = 2
        spread = characters.repeat(times)
        spread[boundaries + np.arange(1, len(boundaries) + 1)] = ord(SEPARATOR)
        name = "ascii" if spread.itemsize == 1 else "utf-32-le"
        return spread.tobytes().decode(name, "surrogatepass").split(SEPARATOR)


def bulk_encoder(encoder: Encoder, dtype: np.dtype[np.generic], append_eos: bool) -> BulkEncoder:
    """Return the fastest bulk encoder for a tokenizer; see ``BulkEncoder``."""
    if isinstance(encoder, SentencePieceEncoder):
        return UnitEncoder(encoder, dtype, append_eos)
    return BulkEncoder(encoder, dtype, append_eos)


def codes(text: str) -> Codes:
    """Return the characters of a text as numbers."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def pairs(characters: Codes) -> NDArray[np.uint16]:
    """Return the number of each pair of neighbouring characters, by their classes."""
    if characters.dtype == np.uint8:
        classes = np.frombuffer(characters.tobytes().translate(ASCII), dtype=np.uint8).astype(np.uint16)
    else:
        classes = np.minimum(characters, OTHER).astype(np.uint16)
        classes[characters == MARK] = OTHER
        classes[(characters == ord(" ")) | (characters == ord(WORD_MARK))] = MARK
    return classes[:-1] * np.uint16(CLASSES) + classes[1:]
