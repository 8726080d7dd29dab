"""Questions with passages of the design files in front of them, for ``tapeout chat --retrieve``."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

from tapeout.retrieval.passages import Passage
from tapeout.retrieval.search import Searcher, prompt
from tapeout.serve.errors import RequestFailed
from tapeout.serve.prompts import Prompts
from tapeout.serve.session import Question
from tapeout.streams import write_error


def with_passages(index: Path, count: int, threads: int) -> Callable[[Prompts], Callable[[str], Question]]:
    """Return a function that gives each model its questions with passages, in at most half of its context.

    A passage that the model would refuse, because it has the name of a control token, is left out. Where no passage is
    left or fits, a line on standard error says so.

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

    def question_of(prompts: Prompts) -> Callable[[str], Question]:
        model = prompts.model

        @lru_cache(maxsize=32)
        def question(text: str) -> Question:
            passages = [passage for passage in search(text) if _is_accepted(passage, prompts)]
            fitting = 0

            def tokens(whole: str) -> int:
                nonlocal fitting
                size = len(model.encoder.encode(whole))
                fitting += size <= model.context // 2
                return size

            asked = prompt(text, passages, tokens, model.context // 2)
            if not passages:
                write_error(f"{model.name}: every passage that was found has a name that the prompt reserves.")
            elif not fitting:
                write_error(f"{model.name}: no passage fits into half of its context of {model.context:,} tokens.")
            return Question(asked, tuple(passages[:fitting]))

        return question

    return question_of


def _is_accepted(passage: Passage, prompts: Prompts) -> bool:
    try:
        prompts.chat([{"role": "user", "content": f"{passage.title}\n{passage.text}"}])
    except RequestFailed:
        return False
    return True
