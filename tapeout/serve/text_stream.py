"""Tokens as a stream of text: whole characters only, and nothing from the string on that ends an answer."""

import codecs
from collections.abc import Sequence

from tapeout.encoder.interface import Encoder

BLANK = b" "


class TextStream:
    """Text of the tokens of an answer, piece by piece.

    A character that consists of several tokens comes with the last of them; bytes that are no character become U+FFFD.
    Text that may be the beginning of a stop string is held back until that is decided. The pieces together are the
    text of the answer, whether a caller streams them or not.

    Attributes:
        stopped: True if a stop string has ended the text.
    """

    def __init__(self, encoder: Encoder, stops: Sequence[str] = (), continues: bool = False) -> None:
        """Begin a text.

        Args:
            encoder: the tokenizer.
            stops: strings that end the text; they are not part of it.
            continues: the text continues another, so that a blank at its beginning is a part of it. Otherwise the one
                that SentencePiece puts before each text is left out.
        """
        self.encoder, self.stops = encoder, [stop for stop in stops if stop]
        self.silent = {*encoder.control_pieces.values(), encoder.unk}
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.begins = not continues
        self.held = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """Add a token and return the text that is certain with it; control tokens have none."""
        if token in self.silent or self.stopped:
            return ""
        data = self.encoder.id_to_bytes(token)
        if self.begins and _blanks(data) > _blanks(self.encoder.decode([token]).encode()):
            data = data.removeprefix(BLANK)
        self.begins = False
        return self._release(self.decoder.decode(data))

    def end(self) -> str:
        """Return the rest of the text."""
        rest = self._release(self.decoder.decode(b"", final=True))
        held, self.held = self.held, ""
        return rest + ("" if self.stopped else held)

    def _release(self, text: str) -> str:
        """Add text to what is held back, and return what cannot belong to a stop string."""
        self.held += text
        found = [index for stop in self.stops if (index := self.held.find(stop)) >= 0]
        if found:
            self.stopped = True
            released, self.held = self.held[: min(found)], ""
            return released
        kept = max((_overlap(self.held, stop) for stop in self.stops), default=0)
        end = len(self.held) - kept
        released, self.held = self.held[:end], self.held[end:]
        return released


def _blanks(data: bytes) -> int:
    return len(data) - len(data.lstrip(BLANK))


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest end of a text that is a beginning of ``stop``."""
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return next((size for size in sizes if stop.startswith(text[-size:])), 0)
