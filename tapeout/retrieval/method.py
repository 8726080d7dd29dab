"""Interface of a retrieval method: it ranks the passages of an index for questions.

An index is a folder with ``index.json``, which names the method, with ``passages.jsonl``, and with the files of the
method. It needs nothing outside of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import orjson

from tapeout.data.io.jsonl import write_json, write_jsonl
from tapeout.retrieval.errors import UnusableIndex
from tapeout.retrieval.passages import Passage, read_passages

INDEX, PASSAGES = "index.json", "passages.jsonl"


class Hit(NamedTuple):
    """Passage of an index, by its position, with its score."""

    position: int
    score: float


class Method(Protocol):
    """Index of one method, opened."""

    def rank(self, questions: Sequence[str], k: int) -> list[list[Hit]]:
        """Return the first ``k`` passages for each question, best first; of equal scores the earlier passage."""


def write_index(output: Path, method: str, passages: Sequence[Passage]) -> None:
    """Write the files of a new index that all methods have.

    Raises:
        UnusableIndex: there is no passage.
    """
    if not passages:
        raise UnusableIndex("There is no passage to index.", "Add splits or corpora to the section retrieval.")
    output.mkdir()
    write_json(output / INDEX, {"method": method, "passages": len(passages)})
    write_jsonl(output / PASSAGES, (passage._asdict() for passage in passages))


def read_index(folder: Path) -> tuple[str, list[Passage]]:
    """Return the method and the passages of an index.

    Raises:
        UnusableIndex: the folder is not an index.
    """
    fix = "Name an artifact such as results/retrieval/index/bm25."
    if not (folder / INDEX).is_file() or not (folder / PASSAGES).is_file():
        raise UnusableIndex(f"{folder} is not an index of passages: it has no {INDEX} or no {PASSAGES}.", fix)
    described, passages = orjson.loads((folder / INDEX).read_bytes()), read_passages(folder / PASSAGES)
    if described.get("passages") != len(passages):
        raise UnusableIndex(f"{folder} is damaged: it has {len(passages)} passages, not those of {INDEX}.", fix)
    return str(described.get("method")), passages
