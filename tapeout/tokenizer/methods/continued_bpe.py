"""Continued BPE: the merges that a vocabulary's training would make next if it continued on the domain text."""

import heapq
from collections import defaultdict
from itertools import chain

from tapeout.tokenizer.merges import NewPiece
from tapeout.tokenizer.method import Material


def choose(material: Material) -> list[NewPiece]:
    """Choose new pieces greedily: the most frequent pair of the domain text first, of equals the smaller string.

    A pair that is not of the domain when its turn comes is rejected for good; one whose halves mostly occur apart waits
    until a merge has taken occurrences of a half. Both texts are segmented anew after every
    choice, so that later counts are those that the extended vocabulary will see. The result depends on no order but
    that of the strings.

    Raises:
        InvalidVocabulary: there are not enough pairs.
    """
    growth = material.growth()
    pairs = growth.domain.pairs
    queue = [(-count, pair) for pair, count in pairs.items() if growth.may_become(pair)]
    heapq.heapify(queue)
    rejected: set[str] = set()
    waiting: defaultdict[int, set[str]] = defaultdict(set)
    while queue and len(growth.pieces) < material.job.new_pieces:
        negative, pair = heapq.heappop(queue)
        if pair in rejected or not growth.may_become(pair):
            continue
        if pairs[pair] != -negative:
            heapq.heappush(queue, (-pairs[pair], pair))
        elif not growth.is_of_the_domain(pair):
            rejected.add(pair)
        elif not growth.holds_together(pair):
            for half in chain.from_iterable(growth.domain.halves(pair)):
                waiting[half].add(pair)
        else:
            halves = chain.from_iterable(growth.domain.halves(pair))
            freed = set().union(*(waiting.pop(half, ()) for half in halves))
            for new in growth.add(pair) | freed:
                if new not in rejected and growth.may_become(new):
                    heapq.heappush(queue, (-pairs[new], new))
    return growth.pieces[: material.selected([new.count for new in growth.pieces])]
