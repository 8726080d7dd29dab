"""Continued BPE: what SentencePiece would have merged next, had its training gone on with the domain text."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from tapeout.errors import TapeoutError
from tapeout.tokenizer.words import Word, Words


class TooFewPieces(TapeoutError):
    """The domain text does not hold as many new pieces as asked for."""


@dataclass(frozen=True)
class NewPiece:
    """A piece chosen for the extended vocabulary.

    Attributes:
        piece: the string, word mark included.
        count: its occurrences in the domain text when it was chosen.
        general: its occurrences in the general text at that moment.
    """

    piece: str
    count: int
    general: int


@dataclass(frozen=True)
class Limits:
    """What a string must satisfy to become a piece.

    Attributes:
        allowed: by its characters.
        count: fewest occurrences in the domain text.
        sources: fewest sources of the domain text that it occurs in.
        general: most occurrences in the general text.
    """

    allowed: Callable[[str], bool]
    count: int
    sources: int
    general: float


class Segmentation:
    """A corpus's words, cut by a growing list of merges, with the counts of all neighbouring pairs.

    A pair is known by its concatenation, because SentencePiece merges by the string and not by its two halves.
    """

    def __init__(self, words: Words, ranks: dict[str, int]) -> None:
        self.ranks = ranks
        self.words = sorted(words.counts)
        self.counts = [words.counts[word] for word in self.words]
        self.sources = [words.sources[word] for word in self.words]
        self.pairs: Counter[str] = Counter()
        self.places: defaultdict[str, set[int]] = defaultdict(set)
        for index in range(len(self.words)):
            self._count(index, 1)

    def merge(self, piece: str) -> set[str]:
        """Apply a new piece (already in ``ranks``) wherever it occurs; return the pairs that this made."""
        made: set[str] = set()
        for index in self.places.pop(piece, set()):
            after = merged(self.words[index], self.ranks)
            if after != self.words[index]:
                self._count(index, -1)
                self.words[index] = after
                made.update(self._count(index, 1))
        return made

    def occurs_in(self, pair: str, sources: int) -> bool:
        """Whether the pair occurs in at least so many sources as the words now stand."""
        seen = 0
        for index in self.places[pair]:
            if seen | self.sources[index] != seen and pair in neighbours(self.words[index]):
                seen |= self.sources[index]
                if seen.bit_count() >= sources:
                    return True
        return False

    def uses(self) -> Counter[str]:
        """Occurrences of every piece as the words now stand."""
        uses: Counter[str] = Counter()
        for word, count in zip(self.words, self.counts, strict=True):
            for piece in word:
                uses[piece] += count
        return uses

    def _count(self, index: int, sign: int) -> list[str]:
        """Add or take away one word's pairs; places are only ever added, and looked at again when used."""
        pairs = list(neighbours(self.words[index]))
        for pair in pairs:
            self.pairs[pair] += sign * self.counts[index]
            if sign > 0:
                self.places[pair].add(index)
        return pairs


def neighbours(word: Word) -> Iterator[str]:
    """Concatenations of all neighbouring pieces."""
    return (left + right for left, right in pairwise(word))


def merged(word: Word, ranks: dict[str, int]) -> Word:
    """The word after all merges that ``ranks`` allows, in SentencePiece's order: lowest rank, then leftmost."""
    while len(word) > 1:
        best, place = min((ranks.get(pair, len(ranks)), place) for place, pair in enumerate(neighbours(word)))
        if best == len(ranks):
            break
        word = (*word[:place], word[place] + word[place + 1], *word[place + 2 :])
    return word


def continue_merges(
    domain: Segmentation, general: Segmentation, ranks: dict[str, int], wanted: int, limits: Limits
) -> list[NewPiece]:
    """Choose new pieces greedily: the most frequent pair of the domain text first, of equals the smaller string.

    A pair that is beyond the limits when its turn comes is passed over for good. The limit on general text keeps that
    text cut as before (F17); the one on sources leaves out names that only one design uses, which would be rows of
    the model that no other design trains or needs. Both segmentations follow every choice, so that later counts are
    those that SentencePiece will really see. The result depends on no order but that of the strings (F24).

    Args:
        domain: segmentation of the domain training text; changed.
        general: segmentation of the general training text; changed.
        ranks: merge order, shared with both segmentations; the new pieces are added at its end.
        wanted: number of pieces.
        limits: what a pair must satisfy.

    Raises:
        TooFewPieces: the pairs run out.
    """
    queue = [(-count, pair) for pair, count in domain.pairs.items() if count >= limits.count and limits.allowed(pair)]
    heapq.heapify(queue)
    chosen: list[NewPiece] = []
    passed: set[str] = set()
    while len(chosen) < wanted:
        if not queue:
            raise TooFewPieces(
                f"The domain text holds only {len(chosen)} of the {wanted} new pieces asked for.",
                "Ask for fewer (tokenizer.new_pieces), loosen tokenizer.smallest_count, smallest_sources or "
                "general_rate, or add domain text.",
            )
        negative, pair = heapq.heappop(queue)
        count = domain.pairs[pair]
        if pair in passed or pair in ranks or count < limits.count:
            continue
        if count != -negative:
            heapq.heappush(queue, (-count, pair))
            continue
        if general.pairs[pair] > limits.general or not domain.occurs_in(pair, limits.sources):
            passed.add(pair)
            continue
        ranks[pair] = len(ranks)
        chosen.append(NewPiece(pair, count, general.pairs[pair]))
        general.merge(pair)
        for made in domain.merge(pair):
            if domain.pairs[made] >= limits.count and made not in passed and limits.allowed(made):
                heapq.heappush(queue, (-domain.pairs[made], made))
    return chosen
