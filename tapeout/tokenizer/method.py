"""Interface of a method that chooses new pieces.

A method is a module of ``tapeout.tokenizer.methods``, or a module outside of this package that is named by its dotted
name. The rule ``tokenizer`` declares it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, cast

from tapeout import plugins
from tapeout.config.tokenizer import METHODS, Tokenizer
from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.extendable import Vocabulary
from tapeout.tokenizer.merges import Growth, NewPiece
from tapeout.tokenizer.words import Words, count_words


@dataclass(frozen=True)
class Material:
    """Input of a method: the base vocabulary, the training texts and the parameters.

    Attributes:
        base: the base vocabulary.
        domain: domain training texts by source.
        general: general training texts by source.
        job: the parameters.
        threads: threads for encoding; no result depends on them.
    """

    base: Vocabulary
    domain: dict[str, list[str]]
    general: dict[str, list[str]]
    job: Tokenizer
    threads: int

    @cached_property
    def domain_words(self) -> Words:
        """Words of the domain text in the base vocabulary's segmentation."""
        return count_words(self.base, self.domain, self.threads)

    @cached_property
    def general_words(self) -> Words:
        """Words of the general text in the base vocabulary's segmentation."""
        return count_words(self.base, self.general, self.threads)

    def growth(self) -> Growth:
        """Return the base vocabulary's merges, to which new ones can be added."""
        return Growth(self.base, self.domain_words, self.general_words, len(self.domain), self.job)

    def selected(self, gains: list[int]) -> int:
        """Return how many of the candidates with these gains become pieces.

        A number that the selection computes is rounded up to the next one that gives a vocabulary of the right size, or
        down if there are not enough candidates: a further piece is worth more than a row that no text uses.

        Raises:
            InvalidVocabulary: the selection wants a certain number, and there are fewer candidates.
        """
        job = self.job
        if job.selection.exact and len(gains) < job.new_pieces:
            raise InvalidVocabulary(
                f"The domain text has only {len(gains)} of the {job.new_pieces} requested new pieces.",
                "Lower tokenizer.new_pieces, relax tokenizer.min_count, min_sources, min_contrast, min_cohesion or "
                "max_general_rate, or add domain text.",
            )
        number = job.selection.number(gains, self.domain_words.tokens)
        if job.selection.exact:
            return number
        missing = -(self.base.encoder.size + number) % job.multiple
        excess = (self.base.encoder.size + len(gains)) % job.multiple
        return number + missing if number + missing <= len(gains) else max(0, len(gains) - excess)


class Method(Protocol):
    """Members of a method, provided by a module."""

    def choose(self, material: Material) -> list[NewPiece]:
        """Return the new pieces in the order of their ids and merges; the same for any order of texts and threads.

        Raises:
            InvalidVocabulary: the domain text has too few pieces.
        """


def load_method(name: str) -> Method:
    """Return the method ``name``.

    Raises:
        UnknownPlugin: there is no such module.
        InvalidPlugin: a step runs, and its rule does not declare the module.
    """
    return cast(Method, plugins.load(METHODS, name))
