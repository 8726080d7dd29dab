"""SentencePiece's own ids, several times faster: a text is cut where no piece can cross, each unit is encoded once.

In a BPE model a merge joins two neighbours to a piece of the vocabulary. Where two characters stand side by side in no
piece, no merge can join them, and the ids of a text are those of its parts. Parts come again and again, so that most
are looked up. Which pairs of characters stand in a piece is read off the vocabulary.
"""

from array import array
from pathlib import Path

import numpy as np
import sentencepiece
from numpy.typing import NDArray
from sentencepiece import sentencepiece_model_pb2 as protocol

from tapeout.tokenizer.sentencepiece_model import WORD_MARK, parse, processor, processor_without_prefix

MARK, OTHER = 127, 128
"""Classes of characters: ASCII each its own, the space and its mark, all others together."""
CLASSES = 129
ASCII = bytes(MARK if code == ord(" ") else min(code, OTHER - 1) + (code == MARK) for code in range(256))
"""Class of each ASCII character."""
SEPARATOR = "\0"
"""Stands between units while a text is cut; texts of a corpus do not have it."""
KNOWN = 600_000
"""Units that are remembered, about 150 bytes each; the frequent ones come early."""
LONGEST = 200
"""Bytes of the ids of a unit that is remembered."""
ATOMS = {
    protocol.ModelProto.SentencePiece.BYTE,
    protocol.ModelProto.SentencePiece.CONTROL,
    protocol.ModelProto.SentencePiece.UNKNOWN,
}
"""Kinds of pieces that stand for themselves: no merge makes them."""


Codes = NDArray[np.uint8] | NDArray[np.uint32]
"""Characters as numbers: bytes if all are ASCII."""


class Units(dict[str, bytes]):
    """Stored ids of each unit, made when they are first asked for."""

    def __init__(self, encoder: sentencepiece.SentencePieceProcessor, kind: np.dtype[np.generic]) -> None:
        self.encoder = encoder
        self.code = kind.char

    def __missing__(self, unit: str) -> bytes:
        ids = array(self.code, self.encoder.encode(unit)).tobytes()
        if len(ids) <= LONGEST and len(self) < KNOWN:
            self[unit] = ids
        return ids


class Encoder:
    """Texts to stored ids."""

    def __init__(self, model: Path, kind: np.dtype[np.generic], append_end: bool) -> None:
        """Read a model.

        Args:
            model: SentencePiece file.
            kind: type of the stored ids.
            append_end: whether the end-of-sequence id follows a text that has an id.

        Raises:
            UnsupportedModel: see ``parse``.
        """
        content = model.read_bytes()
        proto = parse(content)
        self.kind = kind
        self.whole = processor(content)
        self.prefix = " " if proto.normalizer_spec.add_dummy_prefix else ""
        self.units = Units(processor_without_prefix(content), kind)
        self.end = np.array([self.whole.eos_id()], dtype=kind).tobytes() if append_end else b""
        self.apart = np.ones(CLASSES * CLASSES, dtype=np.bool_)
        pieces = [piece.piece for piece in proto.pieces if piece.type not in ATOMS and len(piece.piece) > 1]
        self.apart[pairs(codes(SEPARATOR.join(piece for piece in pieces if SEPARATOR not in piece)))] = False
        # what the separator made neighbours is none of any piece
        around = np.arange(CLASSES)
        self.apart[around * CLASSES + ord(SEPARATOR)] = self.apart[ord(SEPARATOR) * CLASSES + around] = True
        for piece in pieces:
            if SEPARATOR in piece:
                self.apart[pairs(codes(piece))] = False

    def encode(self, text: str) -> bytes:
        """Stored ids of a text, and of its end."""
        return b"".join(map(self.units.__getitem__, self.cut(self.prefix + text))) + self.end if text else b""

    def cut(self, text: str) -> list[str]:
        """The units of a text that is not empty."""
        characters = codes(text)
        apart = self.apart[pairs(characters)]
        if SEPARATOR in text:
            places = (np.flatnonzero(apart) + 1).tolist()
            return list(map(text.__getitem__, map(slice, [0, *places], [*places, len(text)])))
        # each character before a cut twice, the second of the two becomes the separator
        cuts = np.flatnonzero(apart)
        times = np.ones(len(characters), dtype=np.uint8)
        times[cuts] = 2
        spread = characters.repeat(times)
        spread[cuts + np.arange(1, len(cuts) + 1)] = ord(SEPARATOR)
        name = "ascii" if spread.itemsize == 1 else "utf-32-le"
        return spread.tobytes().decode(name, "surrogatepass").split(SEPARATOR)


def codes(text: str) -> Codes:
    """The characters of a text as numbers."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def pairs(characters: Codes) -> NDArray[np.uint16]:
    """Number of each pair of neighbouring characters, by their classes."""
    if characters.dtype == np.uint8:
        classes = np.frombuffer(characters.tobytes().translate(ASCII), dtype=np.uint8).astype(np.uint16)
    else:
        classes = np.minimum(characters, OTHER).astype(np.uint16)
        classes[characters == MARK] = OTHER
        classes[(characters == ord(" ")) | (characters == ord(WORD_MARK))] = MARK
    return classes[:-1] * np.uint16(CLASSES) + classes[1:]
