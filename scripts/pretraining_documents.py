"""Read one source and write each document to the shard that its digest chooses."""

from pathlib import Path

from tapeout.config.pretraining import DocumentsJob
from tapeout.data.shards.documents import write_documents
from tapeout.program import step


@step(DocumentsJob)
def main(job: DocumentsJob, source: Path, output: Path, threads: int) -> None:
    """Write one file for each shard, and report.json, into the new folder ``output``.

    Inputs:
        source: folder of the source.
    """
    write_documents(source, output, job, threads)


if __name__ == "__main__":
    main()
