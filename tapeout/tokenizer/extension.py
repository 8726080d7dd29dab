"""Extending a SentencePiece vocabulary with pieces of a domain."""

from collections import Counter
from dataclasses import dataclass

from tapeout.config.tokenizer import Tokenizer
from tapeout.tokenizer.merges import Limits, NewPiece, Segmentation, continue_merges
from tapeout.tokenizer.sentencepiece_model import extend, merge_ranks, parse, processor
from tapeout.tokenizer.words import count_words


@dataclass(frozen=True)
class Extension:
    """An extended model and what is known about it.

    Attributes:
        model: bytes of the extended SentencePiece model.
        pieces: the new pieces in the order of their ids.
        uses: occurrences in the domain training text when it is cut by the finished model; a piece that is only a
            step towards longer ones may have few or none.
        domain_tokens: tokens of the domain training text, before.
        general_tokens: tokens of the general training text, before.
    """

    model: bytes
    pieces: list[NewPiece]
    uses: Counter[str]
    domain_tokens: int
    general_tokens: int


def extend_vocabulary(
    base: bytes, domain: dict[str, list[str]], general: dict[str, list[str]], job: Tokenizer, threads: int
) -> Extension:
    """Continue the base model's merges on the domain text; see ``continue_merges``.

    Args:
        base: bytes of the base SentencePiece model.
        domain: training texts by source.
        general: training texts by source.
        job: the parameters.
        threads: threads for encoding; they change nothing in the result.

    Raises:
        UnsupportedModel: merges cannot be continued on the base model.
        TooFewPieces: the domain text does not hold enough pieces.
    """
    ranks = merge_ranks(parse(base))
    model = processor(base)
    domain_words = count_words(model, domain, threads)
    general_words = count_words(model, general, threads)
    limits = Limits(
        allowed=lambda piece: is_allowed(piece, job.longest_piece, job.digits),
        count=job.smallest_count,
        sources=min(job.smallest_sources, len(domain)),
        general=job.general_rate * general_words.tokens,
    )
    cut = Segmentation(domain_words, ranks)
    pieces = continue_merges(cut, Segmentation(general_words, ranks), ranks, job.new_pieces, limits)
    extended = extend(base, [new.piece for new in pieces])
    return Extension(extended, pieces, cut.uses(), domain_words.tokens, general_words.tokens)


def is_allowed(piece: str, longest: int, digits: bool) -> bool:
    """Whether a string may be a piece, by length and characters (that it crosses no word is seen to before)."""
    return len(piece) <= longest and (digits or not any(character.isdigit() for character in piece))
