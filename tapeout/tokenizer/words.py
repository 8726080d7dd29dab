"""Words: the units inside which merges are continued.

A word ends before a blank or tab that follows anything but white space, so a line break and the indentation after it
join the last word of a line with the first of the next, and no piece has a blank inside unless white space is before
it. Control characters, special pieces and parts of characters belong to no word.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tapeout.encoder.extendable import Vocabulary

WHITE = " \t\n"
"""White space that a piece may contain."""
BLANK = " \t"
BYTES = 4
"""Size of a piece's number in a word."""


@dataclass
class Words:
    """The distinct words of a corpus, each as the numbers of its pieces, little-endian, ``BYTES`` each.

    Attributes:
        counts: occurrences of each word.
        sources: the set of sources in which each word occurs, as bits.
        tokens: tokens of the whole corpus, including those outside words.
    """

    counts: Counter[bytes] = field(default_factory=Counter)
    sources: Counter[bytes] = field(default_factory=Counter)
    tokens: int = 0


def count_words(base: Vocabulary, corpus: dict[str, list[str]], threads: int) -> Words:
    """Count the words of a corpus, given as texts by source, in the base vocabulary's own segmentation.

    A word lies in one part of the text (``Vocabulary.encode_parts``). Counting words instead of storing texts makes the
    cost of merging nearly independent of the corpus size.
    """
    is_outside, ends_white, begins_blank = piece_kinds(base)
    words = Words()
    for bit, texts in enumerate(corpus.values()):
        counts: Counter[bytes] = Counter()
        for parts in base.encode_parts(texts, threads):
            for part in parts:
                ids = np.array(part, dtype=np.int64)
                words.tokens += len(ids)
                left, right = ids[:-1], ids[1:]
                is_end = is_outside[left] | is_outside[right] | (~ends_white[left] & begins_blank[right])
                cuts = [0, *(np.flatnonzero(is_end) + 1).tolist(), len(ids)]
                content = ids.astype(f"<i{BYTES}").tobytes()
                counts.update(content[BYTES * begin : BYTES * end] for begin, end in pairwise(cuts))
        for word, count in counts.items():
            words.counts[word] += count
            words.sources[word] |= 1 << bit
    return words


def piece_kinds(base: Vocabulary) -> tuple[NDArray[np.bool_], ...]:
    """Return for every id whether it belongs to no word, ends with white space, and begins with a blank or tab."""
    texts = [base.text_of(index) or "" for index in range(base.encoder.size)]
    is_outside = [not text or not all(letter in WHITE or letter.isprintable() for letter in text) for text in texts]
    ends_white = [text.endswith(tuple(WHITE)) for text in texts]
    begins_blank = [text.startswith(tuple(BLANK)) for text in texts]
    return tuple(np.array(kinds, dtype=np.bool_) for kinds in (is_outside, ends_white, begins_blank))
