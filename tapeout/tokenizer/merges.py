"""Continued BPE: the merges that SentencePiece would make next if its training continued on the domain text."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from tapeout.encoder.sentencepiece import InvalidVocabulary
from tapeout.tokenizer.words import Word, Words


@dataclass(frozen=True)
class NewPiece:
    """A piece chosen for the extended vocabulary.

    Attributes:
        piece: the string, including the word mark.
        count: occurrences in the domain text when it was chosen.
        general: occurrences in the general text when it was chosen.
    """

    piece: str
    count: int
    general: int


@dataclass(frozen=True)
class Limits:
    """Conditions on a new piece.

    Attributes:
        is_allowed: whether its characters are allowed.
        min_count: minimum occurrences in the domain text.
        min_sources: minimum number of sources of the domain text in which it occurs.
        max_general: maximum occurrences in the general text.
    """

    is_allowed: Callable[[str], bool]
    min_count: int
    min_sources: int
    max_general: float


class Segmentation:
    """The words of a corpus, segmented by a growing list of merges, with the counts of all neighbouring pairs.

    A pair is identified by its concatenation, because SentencePiece merges by the string, not by its two halves.
    """

    def __init__(self, words: Words, ranks: dict[str, int]) -> None:
        """Count the pairs of all words; ``ranks`` is the merge order, which may grow."""
        self.ranks = ranks
        self.words = sorted(words.counts)
        self.counts = [words.counts[word] for word in self.words]
        self.sources = [words.sources[word] for word in self.words]
        self.pairs: Counter[str] = Counter()
        self.words_with: defaultdict[str, set[int]] = defaultdict(set)
        for index in range(len(self.words)):
            self._count(index, 1)

    def merge(self, piece: str) -> set[str]:
        """Apply a new piece (already in ``ranks``) wherever it occurs; return the new pairs."""
        new_pairs: set[str] = set()
        for index in self.words_with.pop(piece, set()):
            after = merged(self.words[index], self.ranks)
            if after != self.words[index]:
                self._count(index, -1)
                self.words[index] = after
                new_pairs.update(self._count(index, 1))
        return new_pairs

    def occurs_in(self, pair: str, sources: int) -> bool:
        """Return whether the pair occurs in at least ``sources`` sources in the current segmentation."""
        seen = 0
        for index in self.words_with[pair]:
            if seen | self.sources[index] != seen and pair in neighbours(self.words[index]):
                seen |= self.sources[index]
                if seen.bit_count() >= sources:
                    return True
        return False

    def uses(self) -> Counter[str]:
        """Return the occurrences of every piece in the current segmentation."""
        uses: Counter[str] = Counter()
        for word, count in zip(self.words, self.counts, strict=True):
            for piece in word:
                uses[piece] += count
        return uses

    def _count(self, index: int, sign: int) -> list[str]:
        """Add or subtract the pairs of one word; ``words_with`` only grows, and is checked again when it is used."""
        pairs = list(neighbours(self.words[index]))
        for pair in pairs:
            self.pairs[pair] += sign * self.counts[index]
            if sign > 0:
                self.words_with[pair].add(index)
        return pairs


def neighbours(word: Word) -> Iterator[str]:
    """Yield the concatenations of all neighbouring pieces."""
    return (left + right for left, right in pairwise(word))


def merged(word: Word, ranks: dict[str, int]) -> Word:
    """Return the word after all merges in ``ranks``, in SentencePiece's order: lowest rank first, then leftmost."""
    while len(word) > 1:
        best, left = min((ranks.get(pair, len(ranks)), left) for left, pair in enumerate(neighbours(word)))
        if best == len(ranks):
            break
        word = (*word[:left], word[left] + word[left + 1], *word[left + 2 :])
    return word


def continue_merges(
    domain: Segmentation, general: Segmentation, ranks: dict[str, int], wanted: int, limits: Limits
) -> list[NewPiece]:
    """Choose new pieces greedily: the most frequent pair of the domain text first, of equals the smaller string.

    A pair beyond the limits when its turn comes is rejected for good. The limit on general text preserves its
    tokenization; the limit on sources excludes names that only one design uses, whose rows no other design would train
    or need. Both segmentations are updated after every choice, so that later counts are those that SentencePiece will
    see. The result depends on no order but that of the strings.

    Args:
        domain: segmentation of the domain training text; modified.
        general: segmentation of the general training text; modified.
        ranks: merge order, shared with both segmentations; the new pieces are appended.
        wanted: number of pieces.
        limits: conditions on a pair.

    Raises:
        InvalidVocabulary: there are not enough pairs.
    """
    queue = [
        (-count, pair) for pair, count in domain.pairs.items() if count >= limits.min_count and limits.is_allowed(pair)
    ]
    heapq.heapify(queue)
    chosen: list[NewPiece] = []
    rejected: set[str] = set()
    while len(chosen) < wanted:
        if not queue:
            raise InvalidVocabulary(
                f"The domain text has only {len(chosen)} of the {wanted} requested new pieces.",
                "Lower tokenizer.new_pieces, relax tokenizer.min_count, min_sources or max_general_rate, or add "
                "domain text.",
            )
        negative, pair = heapq.heappop(queue)
        count = domain.pairs[pair]
        if pair in rejected or pair in ranks or count < limits.min_count:
            continue
        if count != -negative:
            heapq.heappush(queue, (-count, pair))
            continue
        if general.pairs[pair] > limits.max_general or not domain.occurs_in(pair, limits.min_sources):
            rejected.add(pair)
            continue
        ranks[pair] = len(ranks)
        chosen.append(NewPiece(pair, count, general.pairs[pair]))
        general.merge(pair)
        for new in domain.merge(pair):
            if domain.pairs[new] >= limits.min_count and new not in rejected and limits.is_allowed(new):
                heapq.heappush(queue, (-domain.pairs[new], new))
    return chosen
