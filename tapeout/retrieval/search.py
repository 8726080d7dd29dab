"""Search of an index, and prompts that contain what was found: the interface for programs that answer questions."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tapeout.retrieval import bm25, dense
from tapeout.retrieval.errors import UnusableIndex
from tapeout.retrieval.method import Hit, Method, read_index
from tapeout.retrieval.passages import Passage

METHODS: dict[str, Callable[[Path, int], Method]] = {
    bm25.NAME: lambda folder, _: bm25.Index(folder),
    dense.NAME: dense.Index,
}
"""Function of the folder and the number of passages that opens an index, by the name of its method."""


class Searcher:
    """Search in an index of passages.

    Args:
        folder: artifact ``retrieval/index/<system>``.

    Raises:
        UnusableIndex: the folder is not an index, or of an unknown method.
    """

    def __init__(self, folder: Path) -> None:
        """Read the index."""
        method, self.passages = read_index(folder)
        if method not in METHODS:
            raise UnusableIndex(f"{folder} is an index of the unknown method {method}.", "Build the index again.")
        self.method = METHODS[method](folder, len(self.passages))

    def rank(self, questions: Sequence[str], k: int) -> list[list[Hit]]:
        """Return positions and scores of the first ``k`` passages for each question, best first."""
        return self.method.rank(questions, k)

    def search(self, question: str, k: int) -> list[Passage]:
        """Return the first ``k`` passages for a question, best first."""
        return [self.passages[hit.position] for hit in self.rank([question], k)[0]]


def prompt(question: str, passages: Sequence[Passage], tokens: Callable[[str], int], budget: int) -> str:
    """Return the text that asks a model a question and shows it passages.

    Passages are added as long as the text fits the budget; the first that does not ends the list, so that a worse
    passage never takes the place of a better one.

    Args:
        question: question of the user.
        passages: passages, best first.
        tokens: returns the number of tokens of a text.
        budget: maximum tokens of the whole text; without any passage the question alone is returned.
    """
    text, shown = question, ""
    for number, passage in enumerate(passages, start=1):
        shown += f"[{number}] {passage.title}, bytes {passage.start} to {passage.end}:\n{passage.text.strip()}\n\n"
        longer = f"Passages from the design files:\n\n{shown}{question}"
        if tokens(longer) > budget:
            break
        text = longer
    return text
