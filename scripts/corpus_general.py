"""Build the corpus of general English; the documents' own digests choose the test text."""

from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.corpus import GeneralJob
from tapeout.data.corpus.corpus import chosen, read_sources, write_corpus
from tapeout.program import run


def main(
    sources: Annotated[list[Path], typer.Option(help="folder of a source, in the order of the sorted names")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Read the source folders, given in the order of the sorted names, and write the corpus folder."""
    job = GeneralJob.model_validate_json(params.read_bytes())
    documents, tallies = read_sources(job.sources, sources, job)
    write_corpus(output, documents, tallies, lambda document: chosen(document.digest, job.test_fraction), job.licences)


if __name__ == "__main__":
    run(main)
