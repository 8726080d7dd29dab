"""SentencePiece's own ids, several times faster: a text is cut where no piece can cross, each unit is encoded once.

In a BPE model a merge looks at two neighbours only. Where no piece of the vocabulary spans a cut, no merge does, and
the ids of a text are those of its parts. Words come again and again, so that most parts are looked up. Whether the cuts
hold is read off the vocabulary; a model that has a piece across one is encoded whole.
"""

import re
from pathlib import Path

import numpy as np
import sentencepiece

from tapeout.tokenizer.sentencepiece_model import WORD_MARK, parse, processor, processor_without_prefix

UNIT = re.compile(f"{WORD_MARK}*[^{WORD_MARK}\n]*\n*")
"""Marks of spaces, a word, line ends: the cuts lie before the marks and after the line ends."""
CROSSING = re.compile(f"[^{WORD_MARK}]{WORD_MARK}|\n[^\n]")
KNOWN = 400_000
"""Units that are remembered, about 100 bytes each."""
LONGEST = 200
"""Bytes of the ids of a unit that is remembered."""


class Units(dict[str, bytes]):
    """Stored ids of each unit, made when they are first asked for."""

    def __init__(self, encoder: sentencepiece.SentencePieceProcessor, kind: np.dtype[np.generic]) -> None:
        self.encoder = encoder
        self.kind = kind

    def __missing__(self, unit: str) -> bytes:
        ids = np.array(self.encoder.encode(unit), dtype=self.kind).tobytes()
        if len(ids) <= LONGEST:
            if len(self) >= KNOWN:
                self.clear()
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
        self.cut = not any(CROSSING.search(piece.piece) for piece in proto.pieces)
        self.prefix = WORD_MARK if proto.normalizer_spec.add_dummy_prefix else ""
        self.units = Units(processor_without_prefix(content), kind)
        self.end = np.array([self.whole.eos_id()], dtype=kind).tobytes() if append_end else b""

    def encode(self, text: str) -> bytes:
        """Stored ids of a text, and of its end."""
        if not text:
            return b""
        if self.cut:
            units = UNIT.findall(self.prefix + text.replace(" ", WORD_MARK))
            return b"".join(map(self.units.__getitem__, units)) + self.end
        return np.array(self.whole.encode(text), dtype=self.kind).tobytes() + self.end
