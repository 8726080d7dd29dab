"""Questions with passages of the design files in front of them, for ``tapeout chat --retrieve``."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

from tapeout.retrieval.passages import Passage
from tapeout.retrieval.search import Searcher, prompt
from tapeout.serve.model import Model
from tapeout.streams import write_error

Question = Callable[[str], str]
"""Turns the text of a user into that of the prompt."""


def with_passages(index: Path, count: int, threads: int) -> Callable[[Model], Question]:
    """Return a function that gives each model its questions with passages, in at most half of its context.

    Where no passage fits, a line on standard error says so.

    Args:
        index: folder of the index.
        count: passages that are searched for each question.
        threads: threads of PyTorch, which an index with an embedding model sets otherwise.

    Raises:
        UnusableIndex, UnusableEmbedder, UnusableModel: the folder is not an index, or is damaged.
    """
    searcher = Searcher(index)
    torch.set_num_threads(threads)

    @lru_cache(maxsize=32)
    def search(text: str) -> tuple[Passage, ...]:
        return tuple(searcher.search(text, count))

    def question_of(model: Model) -> Question:
        @lru_cache(maxsize=32)
        def question(text: str) -> str:
            asked = prompt(text, search(text), lambda whole: len(model.encoder.encode(whole)), model.context // 2)
            if asked == text:
                write_error(f"{model.name}: no passage fits into half of its context of {model.context:,} tokens.")
            return asked

        return question

    return question_of
