"""Cut the documents of the corpora into passages."""

from pathlib import Path

from tapeout.config.passages import PassagesJob
from tapeout.program import step
from tapeout.retrieval.passages import write_passages


@step(PassagesJob)
def main(job: PassagesJob, corpora: list[Path], output: Path) -> None:
    """Write train.jsonl, test.jsonl and report.json into the new folder ``output``.

    Inputs:
        corpora: folders of the corpora.
    """
    write_passages(corpora, job, output)


if __name__ == "__main__":
    main()
