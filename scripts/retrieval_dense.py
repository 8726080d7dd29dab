"""Embed passages with an embedding model."""

from pathlib import Path

from tapeout.config.passages import DenseJob
from tapeout.program import step
from tapeout.retrieval import dense
from tapeout.retrieval.passages import read_splits


@step(DenseJob)
def main(job: DenseJob, passages: Path, model: Path, output: Path) -> None:
    """Write the index as the new folder ``output``.

    Inputs:
        passages: folder of the passages.
        model: folder of the embedding model.
    """
    dense.build(read_splits(passages, job.splits), model, job, output)


if __name__ == "__main__":
    main()
