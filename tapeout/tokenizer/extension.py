"""Extend a vocabulary with pieces of a domain."""

import re
from collections import Counter
from dataclasses import dataclass

from tapeout.config.tokenizer import Tokenizer
from tapeout.encoder.extendable import Vocabulary
from tapeout.tokenizer.merges import Limits, NewPiece, Segmentation, continue_merges
from tapeout.tokenizer.words import count_words


@dataclass(frozen=True)
class Extension:
    """An extended vocabulary and statistics about it.

    Attributes:
        vocabulary: the extended vocabulary.
        pieces: the new pieces in the order of their ids.
        uses: occurrences in the domain training text with the extended vocabulary; a piece that is only a step towards
            longer ones may have few or none.
        domain_tokens: tokens of the domain training text with the base vocabulary.
        general_tokens: tokens of the general training text with the base vocabulary.
    """

    vocabulary: Vocabulary
    pieces: list[NewPiece]
    uses: Counter[str]
    domain_tokens: int
    general_tokens: int


def extend_vocabulary(
    base: Vocabulary, domain: dict[str, list[str]], general: dict[str, list[str]], job: Tokenizer, threads: int
) -> Extension:
    """Continue the base vocabulary's merges on the domain text; see ``continue_merges``.

    Args:
        base: the base vocabulary; without new pieces, the extended one is the same.
        domain: training texts by source.
        general: training texts by source.
        job: the parameters.
        threads: threads for encoding; the result does not depend on them.

    Raises:
        InvalidVocabulary: the domain text has too few pieces.
    """
    reserved = re.compile("|".join(map(re.escape, base.reserved_names)))
    domain_words = count_words(base, domain, threads)
    general_words = count_words(base, general, threads)

    def allows(merge: str) -> bool:
        text = base.spelling(base.piece_of(merge))
        return text is not None and is_allowed(text, job.max_piece_characters, job.allow_digits, reserved)

    limits = Limits(
        is_allowed=allows,
        min_count=job.min_count,
        min_sources=min(job.min_sources, len(domain)),
        max_general=job.max_general_rate * general_words.tokens,
    )
    ranks = dict(base.ranks)
    segmentation = Segmentation(domain_words, ranks, base.separator)
    on_general = Segmentation(general_words, ranks, base.separator)
    pieces = continue_merges(segmentation, on_general, base, job.new_pieces, limits)
    extended = base.with_merges([new.merge for new in pieces]) if pieces else base
    return Extension(extended, pieces, segmentation.uses(), domain_words.tokens, general_words.tokens)


def is_allowed(text: str, max_characters: int, digits: bool, reserved: re.Pattern[str]) -> bool:
    """Return whether a text may be a piece, by its length and characters; ``words`` keeps pieces inside words.

    No piece contains a match of ``reserved``, the names of pieces that no merge makes: text must not encode to control
    pieces, and other tokenizer libraries cut texts at such names before they merge.
    """
    if len(text) > max_characters or reserved.search(text):
        return False
    return digits or not any(character.isdigit() for character in text)
