"""SentencePiece's own ids, several times faster: a text is cut where no piece can cross, each unit is encoded once.

In a BPE model a merge joins two neighbours to a piece of the vocabulary. Where two characters stand side by side in no
piece, no merge can join them, and the ids of a text are those of its parts. Parts come again and again, so that most
are looked up. Which pairs of characters stand in a piece is read off the vocabulary.
"""

from pathlib import Path

import numpy as np
import sentencepiece
from numpy.typing import NDArray
from sentencepiece import sentencepiece_model_pb2 as protocol

from tapeout.tokenizer.sentencepiece_model import WORD_MARK, parse, processor, processor_without_prefix

MARK, OTHER = 127, 128
"""Classes of characters: ASCII each its own, the word mark, all others together."""
CLASSES = 129
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


class Units(dict[str, bytes]):
    """Stored ids of each unit, made when they are first asked for."""

    def __init__(self, encoder: sentencepiece.SentencePieceProcessor, kind: np.dtype[np.generic]) -> None:
        self.encoder = encoder
        self.kind = kind

    def __missing__(self, unit: str) -> bytes:
        ids = np.array(self.encoder.encode(unit), dtype=self.kind).tobytes()
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
        self.prefix = WORD_MARK if proto.normalizer_spec.add_dummy_prefix else ""
        self.units = Units(processor_without_prefix(content), kind)
        self.end = np.array([self.whole.eos_id()], dtype=kind).tobytes() if append_end else b""
        self.apart = np.ones(CLASSES * CLASSES, dtype=np.bool_)
        for piece in proto.pieces:
            if piece.type not in ATOMS and len(piece.piece) > 1:
                self.apart[pairs(piece.piece)] = False

    def encode(self, text: str) -> bytes:
        """Stored ids of a text, and of its end."""
        if not text:
            return b""
        marked = self.prefix + text.replace(" ", WORD_MARK)
        cuts = (np.flatnonzero(self.apart[pairs(marked)]) + 1).tolist()
        units = map(marked.__getitem__, map(slice, [0, *cuts], [*cuts, len(marked)]))
        return b"".join(map(self.units.__getitem__, units)) + self.end


def pairs(text: str) -> NDArray[np.uint16]:
    """Number of each pair of neighbouring characters, by their classes."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    classes = np.minimum(codes, OTHER).astype(np.uint16)
    classes[codes == MARK] = OTHER
    classes[codes == ord(WORD_MARK)] = MARK
    return classes[:-1] * np.uint16(CLASSES) + classes[1:]
