"""Continued BPE: the merges that a vocabulary's training would make next if it continued on the domain text."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.extendable import Vocabulary
from tapeout.tokenizer.words import Word, Words


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


@dataclass(frozen=True)
class Limits:
    """Conditions on a new piece.

    Attributes:
        is_allowed: whether the characters of the piece that a merge makes are allowed.
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

    A pair is written as a merge (``Vocabulary``): for SentencePiece as the concatenation, because it merges by the
    string and not by its two halves.
    """

    def __init__(self, words: Words, ranks: dict[str, int], separator: str = "") -> None:
        """Count the pairs of all words; ``ranks`` is the merge order, which may grow."""
        self.ranks = ranks
        self.separator = separator
        self.words = sorted(words.counts)
        self.counts = [words.counts[word] for word in self.words]
        self.sources = [words.sources[word] for word in self.words]
        self.pairs: Counter[str] = Counter()
        self.words_with: defaultdict[str, set[int]] = defaultdict(set)
        for index in range(len(self.words)):
            self._count(index, 1)

    def merge(self, pair: str) -> set[str]:
        """Apply a new merge (already in ``ranks``) wherever it occurs; return the new pairs."""
        new_pairs: set[str] = set()
        for index in self.words_with.pop(pair, set()):
            after = merged(self.words[index], self.ranks, self.separator)
            if after != self.words[index]:
                self._count(index, -1)
                self.words[index] = after
                new_pairs.update(self._count(index, 1))
        return new_pairs

    def occurs_in(self, pair: str, sources: int) -> bool:
        """Return whether the pair occurs in at least ``sources`` sources in the current segmentation."""
        seen = 0
        for index in self.words_with[pair]:
            if seen | self.sources[index] != seen and pair in neighbours(self.words[index], self.separator):
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
        pairs = list(neighbours(self.words[index], self.separator))
        for pair in pairs:
            self.pairs[pair] += sign * self.counts[index]
            if sign > 0:
                self.words_with[pair].add(index)
        return pairs


def neighbours(word: Word, separator: str = "") -> Iterator[str]:
    """Yield all neighbouring pieces, written as merges."""
    return (left + separator + right for left, right in pairwise(word))


def merged(word: Word, ranks: dict[str, int], separator: str = "") -> Word:
    """Return the word after all merges in ``ranks``: lowest rank first, then leftmost."""
    while len(word) > 1:
        pairs = enumerate(neighbours(word, separator))
        best, left = min((ranks.get(pair, len(ranks)), left) for left, pair in pairs)
        if best == len(ranks):
            break
        word = (*word[:left], word[left] + word[left + 1], *word[left + 2 :])
    return word


def continue_merges(
    domain: Segmentation, general: Segmentation, base: Vocabulary, wanted: int, limits: Limits
) -> list[NewPiece]:
    """Choose new pieces greedily: the most frequent pair of the domain text first, of equals the smaller string.

    A pair beyond the limits when its turn comes is rejected for good. The limit on general text preserves its
    tokenization; the limit on sources excludes names that only one design uses, whose rows no other design would train
    or need. Both segmentations are updated after every choice, so that later counts are those that the extended
    vocabulary will see. The result depends on no order but that of the strings.

    Args:
        domain: segmentation of the domain training text; modified.
        general: segmentation of the general training text; modified.
        base: the vocabulary; the new merges are appended to the ranks that both segmentations share.
        wanted: number of pieces.
        limits: conditions on a pair.

    Raises:
        InvalidVocabulary: there are not enough pairs.
    """
    queue = [
        (-count, pair) for pair, count in domain.pairs.items() if count >= limits.min_count and limits.is_allowed(pair)
    ]
    heapq.heapify(queue)
    ranks, known = domain.ranks, set(base.names)
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
        piece = base.piece_of(pair)
        if pair in rejected or piece in known or count < limits.min_count:
            continue
        if count != -negative:
            heapq.heappush(queue, (-count, pair))
            continue
        if general.pairs[pair] > limits.max_general or not domain.occurs_in(pair, limits.min_sources):
            rejected.add(pair)
            continue
        ranks[pair] = len(ranks)
        known.add(piece)
        chosen.append(NewPiece(piece, count, general.pairs[pair], pair))
        general.merge(pair)
        for new in domain.merge(pair):
            if domain.pairs[new] >= limits.min_count and new not in rejected and limits.is_allowed(new):
                heapq.heappush(queue, (-domain.pairs[new], new))
    return chosen
