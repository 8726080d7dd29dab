"""Extend a vocabulary with pieces of a domain."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tapeout.config.tokenizer import Tokenizer
from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.extendable import Vocabulary
from tapeout.encoder.interface import Encoder
from tapeout.tokenizer.merges import NewPiece
from tapeout.tokenizer.method import Material, load_method

BATCH = 256
"""Texts that are encoded at once."""


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
    """Extend the base vocabulary by the method of the parameters; see ``tapeout.tokenizer.methods``.

    Args:
        base: the base vocabulary; without new pieces, the extended one is the same.
        domain: training texts by source.
        general: training texts by source.
        job: the parameters.
        threads: threads for encoding; the result does not depend on them.

    Raises:
        InvalidVocabulary: the domain text has too few pieces, or a text encodes to nothing.
    """
    material = Material(base, domain, general, job, threads)
    pieces = load_method(job.method).choose(material) if job.new_pieces else []
    extended = base.with_merges([new.merge for new in pieces]) if pieces else base
    uses = count_uses(extended.encoder, (text for texts in domain.values() for text in texts), threads)
    count_uses(extended.encoder, (text for texts in general.values() for text in texts), threads)
    return Extension(extended, pieces, uses, material.domain_words.tokens, material.general_words.tokens)


def count_uses(encoder: Encoder, texts: Iterable[str], threads: int) -> Counter[str]:
    """Return the occurrences of every piece in some texts.

    Raises:
        InvalidVocabulary: a text that is not empty encodes to nothing.
    """
    texts = list(texts)
    totals = np.zeros(encoder.size, dtype=np.int64)
    for start in range(0, len(texts), BATCH):
        batch = texts[start : start + BATCH]
        encoded = encoder.encode_batch(batch, threads)
        check_not_lost(batch, encoded)
        totals += np.bincount([index for ids in encoded for index in ids], minlength=encoder.size)
    return Counter({encoder.id_to_piece(index): int(totals[index]) for index in np.flatnonzero(totals).tolist()})


def check_not_lost(texts: list[str], encoded: list[list[int]]) -> None:
    """Raise ``InvalidVocabulary`` if a text that is not empty encodes to nothing."""
    lost = next((text for text, ids in zip(texts, encoded, strict=True) if text and not ids), None)
    if lost is not None:
        raise InvalidVocabulary(
            f"A text of {len(lost)} characters encodes to nothing; it begins with {lost[:60]!r}.",
            "Use a base tokenizer and new pieces that keep the names of control pieces out of the merges.",
        )
