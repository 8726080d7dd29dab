"""Find the passages that answer questions about RTL."""

from pathlib import Path

from tapeout.config.passages import QuestionsJob
from tapeout.program import step
from tapeout.retrieval.questions import write_questions


@step(QuestionsJob)
def main(job: QuestionsJob, rows: Path, corpora: list[Path], passages: Path, output: Path) -> None:
    """Write train.jsonl, test.jsonl and report.json into the new folder ``output``.

    Inputs:
        rows: folder of the instruction set.
        corpora: folders of the corpora that were cut.
        passages: folder of their passages.
    """
    write_questions(rows, corpora, passages, job, output)


if __name__ == "__main__":
    main()
