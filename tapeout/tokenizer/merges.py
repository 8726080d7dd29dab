"""New merges after those of a base vocabulary, and their effect on the domain text and on general text."""

import re
from dataclasses import dataclass

from tapeout.config.tokenizer import Tokenizer
from tapeout.encoder.extendable import Vocabulary
from tapeout.tokenizer.segmentation import Merges, Segmentation
from tapeout.tokenizer.words import Words


@dataclass(frozen=True)
class NewPiece:
    """A piece chosen for the extended vocabulary.

    Attributes:
        piece: its name, including the mark of a blank.
        count: occurrences in the domain text when it was chosen.
        general: occurrences in the general text when it was chosen.
        merge: the merge that makes it.
    """

    piece: str
    count: int
    general: int
    merge: str


class Growth:
    """A growing list of merges, with both corpora in their current segmentation.

    Attributes:
        base: the base vocabulary.
        merges: the merges so far.
        domain: the domain text.
        general: the general text.
        pieces: the new pieces so far.
    """

    def __init__(self, base: Vocabulary, domain: Words, general: Words, sources: int, job: Tokenizer) -> None:
        """Begin with the base vocabulary.

        Args:
            base: the base vocabulary.
            domain: words of the domain text.
            general: words of the general text.
            sources: number of sources of the domain text.
            job: the parameters, which limit the pieces.
        """
        self.base = base
        self.merges = Merges(base.symbols, base.ranks, base.separator)
        self.domain, self.general = Segmentation(domain, self.merges), Segmentation(general, self.merges)
        self.pieces: list[NewPiece] = []
        self.job = job
        self.min_sources = min(job.min_sources, sources)
        self.max_general = job.max_general_rate * general.tokens
        self.contrast = job.min_contrast * domain.tokens / max(1, general.tokens)
        self.reserved = re.compile("|".join(map(re.escape, base.reserved_names)))

    def may_become(self, merge: str) -> bool:
        """Return whether the piece of a merge is new, its characters are allowed, and it is frequent enough."""
        piece = self.base.piece_of(merge)
        if self.domain.pairs[merge] < self.job.min_count or piece in self.merges.numbers:
            return False
        text = self.base.spelling(piece)
        limits = self.job.max_piece_characters, self.job.allow_digits, self.reserved
        return text is not None and is_allowed(text, *limits)

    def is_of_the_domain(self, merge: str) -> bool:
        """Return whether a merge is rare in general text, and not of a few sources.

        The limits on general text preserve its tokenization; the limit on sources excludes names that only one design
        uses, whose rows no other design would train or need.
        """
        general = self.general.pairs[merge]
        is_rare = general <= self.max_general and general * self.contrast <= self.domain.pairs[merge]
        return is_rare and self.domain.occurs_in(merge, self.min_sources)

    def holds_together(self, merge: str) -> bool:
        """Return whether the halves of a merge occur together often enough, now; later merges may use them otherwise.

        A piece whose halves mostly occur apart divides the uses of each between two rows, which costs more bits than
        the shorter text saves (docs/tokenizer.md).
        """
        return self.job.min_cohesion == 0 or self.domain.cohesion(merge) >= self.job.min_cohesion

    def add(self, merge: str) -> set[str]:
        """Append a merge and its piece; return the pairs that it leaves in the domain text."""
        piece = self.base.piece_of(merge)
        self.pieces.append(NewPiece(piece, self.domain.pairs[merge], self.general.pairs[merge], merge))
        number = self.merges.add(merge, piece)
        self.general.merge(merge, number)
        return self.domain.merge(merge, number)


def is_allowed(text: str, max_characters: int, digits: bool, reserved: re.Pattern[str]) -> bool:
    """Return whether a text may be a piece, by its length and characters; ``words`` keeps pieces inside words.

    No piece contains a match of ``reserved``, the names of pieces that no merge makes: text must not encode to control
    pieces, and other tokenizer libraries cut texts at such names before they merge.
    """
    if len(text) > max_characters or reserved.search(text):
        return False
    return digits or not any(character.isdigit() for character in text)
