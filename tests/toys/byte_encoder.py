"""Toy encoder from outside the package: one token for each byte of UTF-8, as a byte-level vocabulary without merges."""

from pathlib import Path

from tapeout.encoder.interface import Encoder, Token

NAMES = ("<eos>", "<user>")
"""Control pieces; their ids come after those of the bytes."""


class ByteEncoder(Encoder):
    """A vocabulary of 256 bytes, the end of a sequence, and a control piece; it has no bos."""

    size = 256 + len(NAMES)
    bos = pad = unk = None
    eos = 256
    byte_fallback = True
    control_pieces = {name: 256 + index for index, name in enumerate(NAMES)}
    added_pieces: dict[str, int] = {}
    reserved_characters = ""

    def encode(self, text: str) -> list[int]:
        """Return the bytes of a text."""
        return list(text.encode())

    def encode_spans(self, text: str) -> list[Token]:
        """Return the bytes of a text; the span of a character belongs to its last byte."""
        return [
            (byte, index, index + (rest == 0))
            for index, character in enumerate(text)
            for byte, rest in zip(character.encode(), reversed(range(len(character.encode()))), strict=True)
        ]

    def decode(self, ids: list[int]) -> str:
        """Return the text of some bytes."""
        return bytes(index for index in ids if index < 256).decode()

    def id_to_piece(self, index: int) -> str:
        """Return the number of a byte, or the name of a control piece."""
        return f"<{index}>" if index < 256 else NAMES[index - 256]

    def id_to_bytes(self, index: int) -> bytes:
        """Return a byte, or the name of a control piece."""
        return bytes([index]) if index < 256 else NAMES[index - 256].encode()


def load(path: Path) -> ByteEncoder:
    """Return the encoder, which needs no file."""
    return ByteEncoder()
