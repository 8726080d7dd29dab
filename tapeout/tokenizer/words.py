"""Words: the units inside which merges are continued."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tapeout.encoder.sentencepiece import WORD_MARK, SentencePieceEncoder

Word = tuple[str, ...]
"""The pieces of one word, in order."""


@dataclass
class Words:
    """The distinct words of a corpus.

    Attributes:
        counts: occurrences of each word.
        sources: the set of sources in which each word occurs, as bits.
        tokens: tokens of the whole corpus, including those outside words.
    """

    counts: Counter[Word] = field(default_factory=Counter)
    sources: Counter[Word] = field(default_factory=Counter)
    tokens: int = 0


def count_words(base: SentencePieceEncoder, corpus: dict[str, list[str]], threads: int) -> Words:
    """Count the words of a corpus, given as texts by source, in the base model's own segmentation.

    A word begins at a piece with the word mark and ends before the next one. Pieces of white space, control characters,
    byte pieces and the unknown piece belong to no word, so that no merge crosses them. Counting words instead of
    storing texts makes the cost of merging nearly independent of the corpus size.
    """
    starts, inside = piece_kinds(base)
    pieces = [base.id_to_piece(index) for index in range(base.size)]
    words = Words()
    for bit, texts in enumerate(corpus.values()):
        counts: Counter[tuple[int, ...]] = Counter()
        for ids in base.encode_batch(texts, threads):
            words.tokens += len(ids)
            counts.update(split(ids, starts, inside))
        for word_ids, count in counts.items():
            word = tuple(pieces[index] for index in word_ids)
            words.counts[word] += count
            words.sources[word] |= 1 << bit
    return words


def split(ids: list[int], starts: list[bool], inside: list[bool]) -> Iterator[tuple[int, ...]]:
    """Yield the words of one text, including those of a single piece."""
    begin = 0
    for position, index in enumerate(ids):
        if starts[index]:
            if begin < position:
                yield tuple(ids[begin:position])
            begin = position if inside[index] else position + 1
    if begin < len(ids):
        yield tuple(ids[begin:])


def piece_kinds(base: SentencePieceEncoder) -> tuple[list[bool], list[bool]]:
    """Return for every id whether it ends the word before it, and whether it is part of a word itself."""
    starts, inside = [], []
    for index in range(base.size):
        piece, _, *special = base.describe(index)
        body = piece.removeprefix(WORD_MARK)
        part = not any(special) and body.isprintable() and WORD_MARK not in body
        inside.append(part)
        starts.append(not part or piece.startswith(WORD_MARK))
    return starts, inside
