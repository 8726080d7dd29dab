"""Dense retrieval: cosine similarity of embeddings, from a model of the library sentence-transformers."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tapeout.config.passages import DenseJob
from tapeout.guard.safetensors import read_header
from tapeout.retrieval.embedder import open_embedder
from tapeout.retrieval.errors import UnusableIndex
from tapeout.retrieval.method import Hit, write_index
from tapeout.retrieval.passages import Passage

NAME = "dense"
VECTORS, MODEL = "vectors.safetensors", "model"


def build(passages: Sequence[Passage], model: Path, job: DenseJob, output: Path) -> None:
    """Write the index of passages into the new folder ``output``, with a copy of the model for the questions."""
    from safetensors.numpy import save_file

    write_index(output, NAME, passages)
    vectors = encode(open_embedder(model, job.threads), [passage.searched for passage in passages], job.batch_size)
    save_file({"vectors": vectors}, output / VECTORS)
    shutil.copytree(model, output / MODEL)


def encode(embedder: Any, texts: Sequence[str], batch_size: int) -> Any:
    """Return an embedding of unit length of each text; texts of similar length share a batch."""
    return embedder.encode(list(texts), batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False)


class Index:
    """Opened index.

    Args:
        folder: index that ``build`` wrote.
        threads: threads of PyTorch.

    Raises:
        UnusableIndex: the vectors are not those of the passages.
    """

    def __init__(self, folder: Path, passages: int, threads: int = 2) -> None:
        """Read the vectors and the model."""
        from safetensors.numpy import load_file

        header, _ = read_header(folder / VECTORS)
        if set(header) != {"vectors"} or header["vectors"].shape[0] != passages:
            raise UnusableIndex(f"{folder} is damaged: it has no vector of each passage.", "Build the index again.")
        self._vectors = load_file(folder / VECTORS)["vectors"]
        self._embedder = open_embedder(folder / MODEL, threads)

    def rank(self, questions: Sequence[str], k: int) -> list[list[Hit]]:
        """Return the first ``k`` passages for each question."""
        import numpy as np

        ranked = []
        for vector in encode(self._embedder, questions, 32):
            # einsum adds in a fixed order; a BLAS product may not, on another number of threads
            scores = np.einsum("pd,d->p", self._vectors, vector)
            ranked.append([Hit(int(at), float(scores[at])) for at in np.argsort(-scores, kind="stable")[:k]])
        return ranked
