"""Build the chip-design corpus; held-out cores are its test split."""

from pathlib import Path

from tapeout.config.corpus import DomainJob
from tapeout.data.corpus.corpus import read_sources, write_corpus
from tapeout.program import step


@step(DomainJob)
def main(job: DomainJob, sources: list[Path], output: Path) -> None:
    """Write train.jsonl, test.jsonl and report.json into the new folder ``output``.

    Inputs:
        sources: folders of the sources, in the order of their sorted names.
    """
    documents, tallies = read_sources(job.sources, sources, job)
    write_corpus(output, documents, tallies, lambda document: document.source in job.test, job.licences)


if __name__ == "__main__":
    main()
