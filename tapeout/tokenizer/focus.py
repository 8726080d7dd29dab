"""Rows of new pieces from old pieces with similar names, after FOCUS (Dobler and de Melo 2023, arXiv 2305.14481).

FOCUS mixes the rows of old tokens, weighted by sparsemax of their cosine similarity to the new token in an auxiliary
embedding. The paper trains that embedding (fastText) on text of the target language. Here it is fastText's bag of
n-grams without its trained part: the counts of the n-grams of a piece's name. The similarities are then a function of
the two vocabularies alone, exact and the same on every machine.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from tapeout.encoder.extendable import Vocabulary
from tapeout.tokenizer.surgery import Mixture, parts_of_new_pieces

SIZES = range(3, 7)
"""Letters of an n-gram with the marks, as in fastText (Bojanowski et al. 2017, arXiv 1607.04606)."""
BEGIN, END = "\x02", "\x03"
"""Marks around a name, so that its beginning and end count."""


def ngrams(name: str) -> Counter[str]:
    """Return how often each n-gram occurs in the name of a piece with its marks."""
    text = f"{BEGIN}{name}{END}"
    return Counter(text[at : at + size] for size in SIZES for at in range(len(text) - size + 1))


def similar_pieces(base: Vocabulary, extended: Vocabulary) -> list[Mixture]:
    """Return for each new piece the old pieces with similar names, weighted by sparsemax of the cosine similarity.

    Only pieces with an own text take part. A new piece that shares no n-gram with one is the mean of its parts.
    """
    parts, size = parts_of_new_pieces(base, extended), base.encoder.size
    new = [ngrams(name) for name in extended.names[size:]]
    wanted = set().union(*new)
    pieces: dict[str, list[tuple[int, int]]] = defaultdict(list)
    lengths: dict[int, float] = {}
    for index, name in enumerate(base.names):
        if base.text_of(index) is not None:
            found = ngrams(name)
            lengths[index] = _length(found)
            for gram in found.keys() & wanted:
                pieces[gram].append((index, found[gram]))
    mixtures = []
    for own, ids in zip(new, parts, strict=True):
        products: Counter[int] = Counter()
        for gram, count in own.items():
            for index, other in pieces.get(gram, ()):
                products[index] += count * other
        length = _length(own)
        similar = sorted((-product / (length * lengths[index]), index) for index, product in products.items())
        weights = sparsemax([-similarity for similarity, _ in similar])
        chosen = [index for _, index in similar[: len(weights)]]
        mixtures.append(Mixture(chosen, weights) if chosen else Mixture(ids, [1.0] * len(ids)))
    return mixtures


def sparsemax(scores: Sequence[float]) -> list[float]:
    """Return the positive weights of sparsemax (Martins and Astudillo 2016, arXiv 1602.02068) of descending scores.

    It is the projection onto the simplex: the scores above a threshold, less that threshold, sum to 1.
    """
    total, threshold, support = 0.0, 0.0, 0
    for rank, score in enumerate(scores, start=1):
        total += score
        if 1 + rank * score <= total:
            break
        threshold, support = (total - 1) / rank, rank
    return [score - threshold for score in scores[:support]]


def _length(counts: Counter[str]) -> float:
    """Return the Euclidean length of a vector of counts."""
    return math.sqrt(sum(count * count for count in counts.values()))
