"""Build the corpus of general English; the digests of the documents choose its test split."""

from pathlib import Path

from tapeout.config.corpus import GeneralJob
from tapeout.data.corpus.corpus import in_fraction, read_sources, write_corpus
from tapeout.data.corpus.documents import Document
from tapeout.program import step


@step(GeneralJob)
def main(job: GeneralJob, sources: list[Path], output: Path) -> None:
    """Write train.jsonl, test.jsonl and report.json into the new folder ``output``.

    Inputs:
        sources: folders of the sources, in the order of their sorted names.
    """
    documents, tallies = read_sources(job.sources, sources, job)

    def is_test(document: Document) -> bool:
        return in_fraction(document.digest, job.test_fraction)

    write_corpus(output, documents, tallies, is_test, job.licences)


if __name__ == "__main__":
    main()
