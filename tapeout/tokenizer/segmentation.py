"""The words of a corpus, segmented by a growing list of merges.

All distinct words are in one array of piece numbers, linked to their neighbours, and the places of each pair are known.
A merge touches the places of its pair and nothing else, so that its cost does not depend on the size of the corpus.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tapeout.tokenizer.words import Words

Numbers = NDArray[np.int64]

BASE = 1 << 24
"""Factor of a pair's code, which is ``left * BASE + right``; vocabularies are smaller."""
NONE = BASE - 1
"""Number of no piece: before and after a word, and where a merge has removed a piece."""


class Merges:
    """The merges that a vocabulary has so far, and the numbers of its pieces.

    A merge is written as in ``Vocabulary``: for SentencePiece as the concatenation of two pieces, because it merges by
    the string and not by its two halves.

    Attributes:
        names: names of the pieces by number.
        ranks: rank of each merge, 0 first.
        separator: text between the pieces of a merge.
    """

    def __init__(self, names: Sequence[str], ranks: dict[str, int], separator: str) -> None:
        """Copy the lists, which grow with ``add``."""
        self.names = list(names)
        self.numbers = {name: number for number, name in enumerate(self.names)}
        self.ranks = dict(ranks)
        self.separator = separator

    def add(self, merge: str, piece: str) -> int:
        """Append a merge after all others, and the piece that it makes; return the number of the piece."""
        self.ranks[merge] = len(self.ranks)
        self.numbers[piece] = len(self.names)
        self.names.append(piece)
        return self.numbers[piece]

    def of(self, left: int, right: int) -> str:
        """Return the merge of two pieces."""
        return self.names[left] + self.separator + self.names[right]


class Segmentation:
    """The words of a corpus in their current segmentation, with the counts of all neighbouring pairs.

    Attributes:
        pairs: occurrences of each pair, written as a merge.
        pieces: occurrences of each piece, by its number.
    """

    def __init__(self, words: Words, merges: Merges) -> None:
        """Count the pairs of all words, which are segmented by the merges that exist now."""
        self.merges = merges
        distinct = sorted(words.counts)
        lengths = np.array([len(word) // 4 for word in distinct], dtype=np.int64)
        self.ends = np.cumsum(lengths)
        self.words = np.repeat(np.arange(len(distinct)), lengths)
        self.counts = np.array([words.counts[word] for word in distinct], dtype=np.int64)
        self.sources = [words.sources[word] for word in distinct]
        size = int(lengths.sum())
        # one more place, which is beside the first and the last piece of every word
        self.ids = np.append(np.frombuffer(b"".join(distinct), dtype="<i4").astype(np.int64), NONE)
        self.next = np.append(np.arange(1, size + 1), size)
        self.previous = np.append(np.arange(-1, size - 1), size)
        self.next[self.ends[lengths > 0] - 1] = size
        self.previous[(self.ends - lengths)[lengths > 0]] = size
        self.pairs: Counter[str] = Counter()
        self.codes: defaultdict[str, list[int]] = defaultdict(list)
        self.places: defaultdict[str, list[Numbers]] = defaultdict(list)
        self.merge_of: dict[int, str] = {}
        self.pieces: Counter[int] = Counter()
        self._count_pieces(np.arange(size), 1)
        self._add(np.arange(size))

    def occurs_in(self, pair: str, sources: int) -> bool:
        """Return whether the pair occurs in at least ``sources`` sources in the current segmentation."""
        seen = 0
        for word in np.unique(self.words[self._occurrences(pair)]).tolist():
            seen |= self.sources[word]
            if seen.bit_count() >= sources:
                return True
        return False

    def uses(self) -> Counter[str]:
        """Return the occurrences of every piece in the current segmentation."""
        return Counter({self.merges.names[number]: total for number, total in self.pieces.items() if total})

    def halves(self, pair: str) -> list[tuple[int, int]]:
        """Return the pieces that a pair consists of, by number; several if different pieces have the same merge."""
        return [divmod(code, BASE) for code in self.codes[pair]]

    def cohesion(self, pair: str) -> float:
        """Return a pair's occurrences over the geometric mean of its halves': 1 if neither occurs without the other.

        This is the coefficient of Ochiai (1957). Of several halves, those that are the rarest count.
        """
        means = (math.sqrt(self.pieces[left] * self.pieces[right]) for left, right in self.halves(pair))
        return max((self.pairs[pair] / mean for mean in means if mean), default=0.0)

    def merge(self, pair: str, number: int) -> set[str]:
        """Apply a new merge, which makes the piece ``number``, wherever it occurs; return the new pairs."""
        left = self._occurrences(pair)
        overlaps = np.flatnonzero(self.next[left[:-1]] == left[1:]) if len(left) else left
        if len(overlaps):  # of a run, the leftmost pair is merged first
            keep = np.ones(len(left), dtype=np.bool_)
            for index in overlaps.tolist():
                keep[index + 1] = not keep[index]
            left = left[keep]
        words = self._words_with_earlier_merges(left, number)
        new = {merge for word in words.tolist() for merge in self._merge_word(word)}
        if len(words):
            left = left[~np.isin(self.words[left], words)]
        if not len(left):
            return new
        right = self.next[left]
        self._remove(np.unique(np.concatenate([self.previous[left], left, right])))
        self._count_pieces(np.concatenate([left, right]), -1)
        after = self.next[right]
        self.ids[left], self.ids[right] = number, NONE
        self.next[left], self.previous[after] = after, left
        self._count_pieces(left, 1)
        return new | self._add(np.unique(np.concatenate([self.previous[left], left])))

    def _occurrences(self, pair: str) -> Numbers:
        """Return the places of the left pieces of a pair in their order."""
        if not self.places[pair]:
            return np.zeros(0, dtype=np.int64)
        places = np.unique(np.concatenate(self.places[pair]))
        places = places[np.isin(self._codes_at(places), self.codes[pair])]
        self.places[pair] = [places]
        return places

    def _words_with_earlier_merges(self, left: Numbers, number: int) -> Numbers:
        """Return the words in which the new piece is part of a merge that exists already, which then comes first."""
        before, after = self.ids[self.previous[left]], self.ids[self.next[self.next[left]]]
        ranks, of = self.merges.ranks, self.merges.of
        firsts = [piece for piece in np.unique(before).tolist() if piece != NONE and of(piece, number) in ranks]
        lasts = [piece for piece in np.unique(after).tolist() if piece != NONE and of(number, piece) in ranks]
        affected = np.isin(before, firsts) | np.isin(after, lasts)
        if of(number, number) in ranks:
            affected[:] = True
        return np.unique(self.words[left[affected]])

    def _merge_word(self, word: int) -> set[str]:
        """Merge one word by all merges in their order; return the new pairs."""
        begin = int(self.ends[word - 1]) if word else 0
        places = np.arange(begin, self.ends[word])
        places = places[self.ids[places] != NONE]
        self._remove(places)
        self._count_pieces(places, -1)
        names = self.merges.names
        pieces = merged(tuple(names[number] for number in self.ids[places].tolist()), self.merges)
        kept, removed = places[: len(pieces)], places[len(pieces) :]
        self.ids[kept] = [self.merges.numbers[piece] for piece in pieces]
        self.ids[removed] = NONE
        outside = len(self.ids) - 1
        self.next[kept] = np.append(kept[1:], outside)
        self.previous[kept] = np.append(outside, kept[:-1])
        self._count_pieces(kept, 1)
        return self._add(kept)

    def _count_pieces(self, places: Numbers, factor: int) -> None:
        """Add ``factor`` times the occurrences of the pieces at these places."""
        numbers, inverse = np.unique(self.ids[places], return_inverse=True)
        totals = np.bincount(inverse, weights=self.counts[self.words[places]], minlength=len(numbers))
        for number, total in zip(numbers.tolist(), totals.tolist(), strict=True):
            self.pieces[number] += factor * int(total)

    def _codes_at(self, places: Numbers) -> Numbers:
        codes: Numbers = self.ids[places] * BASE + self.ids[self.next[places]]
        return codes

    def _totals(self, places: Numbers) -> tuple[Numbers, Iterable[tuple[int, int]], Numbers]:
        """Return the places where a pair begins, their pairs' codes with occurrences, and the pair of each place."""
        places = places[(self.ids[places] != NONE) & (self.ids[self.next[places]] != NONE)]
        codes, inverse = np.unique(self._codes_at(places), return_inverse=True)
        totals = np.bincount(inverse, weights=self.counts[self.words[places]], minlength=len(codes))
        return places, zip(codes.tolist(), map(int, totals.tolist()), strict=True), inverse

    def _remove(self, places: Numbers) -> None:
        """Subtract the pairs that begin at these places."""
        for code, total in self._totals(places[places < len(self.ids) - 1])[1]:
            self.pairs[self.merge_of[code]] -= total

    def _add(self, places: Numbers) -> set[str]:
        """Count the pairs that begin at these places; return them."""
        places, totals, inverse = self._totals(places[places < len(self.ids) - 1])
        order = np.argsort(inverse, kind="stable")
        cuts = np.flatnonzero(np.diff(inverse[order])) + 1
        merges = set()
        for (code, total), group in zip(totals, np.split(places[order], cuts), strict=False):
            merge = self.merge_of.get(code)
            if merge is None:
                merge = self.merge_of[code] = self.merges.of(*divmod(code, BASE))
                self.codes[merge].append(code)
            self.pairs[merge] += total
            self.places[merge].append(group)
            merges.add(merge)
        return merges


def neighbours(word: Sequence[str], separator: str) -> Iterator[str]:
    """Yield all neighbouring pieces, written as merges."""
    return (left + separator + right for left, right in pairwise(word))


def merged(word: tuple[str, ...], merges: Merges) -> tuple[str, ...]:
    """Return the word after all merges: lowest rank first, then leftmost."""
    ranks = merges.ranks
    while len(word) > 1:
        pairs = enumerate(neighbours(word, merges.separator))
        best, left = min((ranks.get(pair, len(ranks)), left) for left, pair in pairs)
        if best == len(ranks):
            break
        word = (*word[:left], word[left] + word[left + 1], *word[left + 2 :])
    return word
