"""Words: the units inside which merges are continued."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from tapeout.encoder.extendable import Vocabulary

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


def count_words(base: Vocabulary, corpus: dict[str, list[str]], threads: int) -> Words:
    """Count the words of a corpus, given as texts by source, in the base vocabulary's own segmentation.

    A word begins at a piece with a blank before its text and ends before the next one, and lies in one part of the
    text (``Vocabulary.encode_parts``). White space, control characters, special pieces and parts of characters belong
    to no word, so that no merge crosses them. Counting words instead of storing texts makes the cost of merging nearly
    independent of the corpus size.
    """
    starts, inside = piece_kinds(base)
    pieces = base.names
    words = Words()
    for bit, texts in enumerate(corpus.values()):
        counts: Counter[tuple[int, ...]] = Counter()
        for parts in base.encode_parts(texts, threads):
            for ids in parts:
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


def piece_kinds(base: Vocabulary) -> tuple[list[bool], list[bool]]:
    """Return for every id whether it ends the word before it, and whether it is part of a word itself."""
    starts, inside = [], []
    for index in range(base.encoder.size):
        text = base.text_of(index)
        body = (text or "").removeprefix(" ")
        part = text is not None and body.isprintable() and " " not in body
        inside.append(part)
        starts.append(not part or (text or "").startswith(" "))
    return starts, inside
