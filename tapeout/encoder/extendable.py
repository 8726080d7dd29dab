"""The interface of a vocabulary that can be extended: its merges as data, and the same vocabulary with more pieces.

Only the steps that extend a vocabulary import this module, so that an edit here does not retrain a model.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from typing import ClassVar, Self

from tapeout.encoder.interface import Encoder


class Vocabulary(ABC):
    """A vocabulary made by merges.

    A merge is written as its two pieces with ``separator`` between them. SentencePiece merges whatever two neighbours
    give the piece, and its separator is empty; byte-level BPE merges a certain pair.

    Attributes:
        separator: text between the pieces of a merge, which no piece contains.
        content: content of the vocabulary's file.
        encoder: the encoder of the vocabulary.
        ranks: rank of each merge, 0 first.
        reserved_names: texts that no new piece may contain: names of pieces that no merge makes.
    """

    separator: ClassVar[str]
    content: bytes
    encoder: Encoder
    ranks: dict[str, int]
    reserved_names: list[str]

    @abstractmethod
    def __init__(self, content: bytes) -> None:
        """Load the content of a file.

        Raises:
            InvalidVocabulary: its merges cannot be continued.
        """

    @abstractmethod
    def encode_parts(self, texts: Sequence[str], threads: int) -> Iterator[list[list[int]]]:
        """Yield the ids of each text, in the parts that no merge crosses."""

    @abstractmethod
    def text_of(self, index: int) -> str | None:
        """Return the text of a piece; None if no merge can use it: a special piece, or a part of a character."""

    @abstractmethod
    def spelling(self, piece: str) -> str | None:
        """Return the text that the name of a piece spells; None if it has a part of a character."""

    @abstractmethod
    def piece_name(self, text: str) -> str:
        """Return the name that a piece with this text has."""

    @abstractmethod
    def with_merges(self, merges: Sequence[str]) -> Self:
        """Return the vocabulary with more pieces, after all others and merged after all others, in this order."""

    @abstractmethod
    def split(self, piece: str) -> list[int]:
        """Return the ids into which the vocabulary splits the name of a piece, without any text around it."""

    @abstractmethod
    def describe(self, index: int) -> Hashable:
        """Return all that the vocabulary states about a piece."""

    def piece_of(self, merge: str) -> str:
        """Return the name of the piece that a merge makes."""
        return "".join(merge.split(self.separator)) if self.separator else merge

    @property
    def symbols(self) -> list[str]:
        """The names of all pieces by id, as merges write them."""
        return self.names

    @property
    def names(self) -> list[str]:
        """The names of all pieces by id."""
        return [self.encoder.id_to_piece(index) for index in range(self.encoder.size)]
