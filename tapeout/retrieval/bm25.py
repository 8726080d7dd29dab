"""BM25 over the words of passages, with the library bm25s.

A word is an identifier or a number, in lower case; the parts of an identifier between underscores are words too, so
that a question about ``csr`` finds ``serv_csr``.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tapeout.retrieval.method import Hit, write_index
from tapeout.retrieval.passages import Passage

NAME = "bm25"
WORD = re.compile(r"[^\W\d][\w$]*|\d+")


def words(text: str) -> Iterator[str]:
    """Yield the words of a text, in order."""
    for match in WORD.finditer(text):
        word = match[0].lower()
        yield word
        parts = [part for part in word.split("_") if part]
        if len(parts) > 1:
            yield from parts


def fit(texts: Sequence[str]) -> Any:
    """Return the index of texts, in memory: Lucene's form of BM25, with k1 1.5 and b 0.75."""
    import bm25s

    tokens = [list(words(text)) for text in texts]
    vocabulary = {word: number for number, word in enumerate(sorted({word for text in tokens for word in text}))}
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    ids = [[vocabulary[word] for word in text] for text in tokens]
    index.index((ids, vocabulary), create_empty_token=False, show_progress=False)
    return index


def rank(index: Any, questions: Sequence[str], k: int) -> list[list[Hit]]:
    """Return the first ``k`` texts for each question, see ``Method.rank``."""
    import numpy as np

    ranked = []
    for question in questions:
        known = [word for word in words(question) if word in index.vocab_dict]
        scores = index.get_scores(known) if known else np.zeros(index.scores["num_docs"], dtype=np.float32)
        ranked.append([Hit(int(at), float(scores[at])) for at in np.argsort(-scores, kind="stable")[:k]])
    return ranked


def build(passages: Sequence[Passage], output: Path) -> None:
    """Write the index of passages into the new folder ``output``."""
    write_index(output, NAME, passages)
    fit([passage.searched for passage in passages]).save(output / NAME, show_progress=False)


class Index:
    """Opened index.

    Args:
        folder: index that ``build`` wrote.
    """

    def __init__(self, folder: Path) -> None:
        """Read the index."""
        import bm25s

        self._index = bm25s.BM25.load(folder / NAME)

    def rank(self, questions: Sequence[str], k: int) -> list[list[Hit]]:
        """Return the first ``k`` passages for each question."""
        return rank(self._index, questions, k)
