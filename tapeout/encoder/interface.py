"""The interface of a tokenizer."""

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from tapeout.encoder.errors import InvalidVocabulary

Token = tuple[int, int, int]
"""Id of a token, its first character in the text, and the character after its last."""


class Encoder(Protocol):
    """A tokenizer. Implementations subclass it.

    Attributes:
        size: number of pieces in the vocabulary; ids are below it.
        bos: id that starts a sequence; None if the vocabulary has none.
        eos: id that ends a sequence.
        pad: id of padding; None if the vocabulary has none.
        unk: id for text that the vocabulary cannot represent; None if the vocabulary has none.
        byte_fallback: whether every text can be encoded, if necessary byte by byte.
        control_pieces: ids of the pieces that mark structure, by name (``</s>``); ``encode`` reads the name as text.
        added_pieces: ids of the pieces of ordinary text that are matched whole, before any merge, by name.
        reserved_characters: characters that decoding does not restore, because the vocabulary reserves them.
    """

    size: int
    bos: int | None
    eos: int
    pad: int | None
    unk: int | None
    byte_fallback: bool
    control_pieces: Mapping[str, int]
    added_pieces: Mapping[str, int]
    reserved_characters: str

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, without special ids."""

    @abstractmethod
    def encode_spans(self, text: str) -> list[Token]:
        """Return the tokens of a text, each with the characters that it represents.

        A token without a character (any byte but the last of a character that is spelled in bytes) has an
        empty span before the next token.
        """

    @abstractmethod
    def decode(self, ids: list[int]) -> str:
        """Return the text of some ids; special ids have none."""

    @abstractmethod
    def id_to_piece(self, index: int) -> str:
        """Return a piece as the vocabulary writes it."""

    @abstractmethod
    def id_to_bytes(self, index: int) -> bytes:
        """Return the UTF-8 bytes that a piece represents; a control piece represents its name."""

    def encode_batch(self, texts: list[str], threads: int = -1) -> list[list[int]]:
        """Return the ids of each text.

        Args:
            texts: the texts.
            threads: number of threads, -1 for all processors; the result does not depend on it.
        """
        return [self.encode(text) for text in texts]

    def encode_rendered(
        self, text: str, marks: Collection[str] | None = None, plain: Sequence[tuple[int, int]] = ()
    ) -> list[Token]:
        """Return the tokens of a rendered conversation, where the name of a control piece encodes to that piece.

        Args:
            text: the rendered conversation.
            marks: names that encode to their control pieces, if they have any; None for all control pieces.
            plain: spans of characters in which every name is ordinary text.
        """
        names = [name for name in self.control_pieces if marks is None or name in marks]
        tokens: list[Token] = []
        start = 0
        while start < len(text):
            matches = [(index, name) for name in names if (index := _find(text, name, start, plain)) >= 0]
            index, name = min(matches, key=lambda match: (match[0], -len(match[1])), default=(len(text), ""))
            if index > start:
                part = self.encode_spans(text[start:index])
                tokens += [(token, start + first, start + last) for token, first, last in part]
            if name:
                tokens.append((self.control_pieces[name], index, index + len(name)))
            start = index + len(name)
        return tokens

    @property
    def bos_ids(self) -> list[int]:
        """The ids that every sequence starts with: bos, or none if the vocabulary has no bos."""
        return [] if self.bos is None else [self.bos]

    @property
    def reserved_names(self) -> list[str]:
        """The names that other programs encode as one token wherever they occur in a text, unlike this encoder."""
        unknown = [] if self.unk is None else [self.id_to_piece(self.unk)]
        return sorted({*self.control_pieces, *self.added_pieces, *unknown})

    def is_altered(self, text: str) -> bool:
        """Return whether decoding gives another text, because of a reserved character."""
        return any(character in text for character in self.reserved_characters)

    def model_files(self) -> dict[str, bytes]:
        """Return the files of the tokenizer in a Hugging Face folder, by name, without tokenizer_config.json.

        Raises:
            InvalidVocabulary: a model cannot have such a tokenizer.
        """
        raise InvalidVocabulary(
            f"A model cannot contain the tokenizer of {type(self).__module__}, which Hugging Face cannot read.",
            "Use a SentencePiece model or a byte-level BPE tokenizer.",
        )

    def model_settings(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the content of tokenizer_config.json in a Hugging Face folder.

        Args:
            settings: the content for the SentencePiece model of a model family.
        """
        return dict(settings)


def _find(text: str, name: str, start: int, plain: Sequence[tuple[int, int]]) -> int:
    """Return the index of the first occurrence of a name, from ``start`` on, outside the plain spans; -1 if none."""
    index = text.find(name, start)
    while index >= 0 and any(first < index + len(name) and index < last for first, last in plain):
        index = text.find(name, index + 1)
    return index
