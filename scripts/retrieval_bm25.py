"""Index passages for BM25."""

from pathlib import Path

from tapeout.config.passages import IndexJob
from tapeout.program import step
from tapeout.retrieval import bm25
from tapeout.retrieval.passages import read_splits


@step(IndexJob)
def main(job: IndexJob, passages: Path, output: Path) -> None:
    """Write the index as the new folder ``output``.

    Inputs:
        passages: folder of the passages.
    """
    bm25.build(read_splits(passages, job.splits), output)


if __name__ == "__main__":
    main()
