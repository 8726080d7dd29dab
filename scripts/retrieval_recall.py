"""Measure the recall of indexes on questions about held-out cores."""

from pathlib import Path

from tapeout.config.recall import RecallJob
from tapeout.program import step
from tapeout.retrieval.question import read_questions
from tapeout.retrieval.recall import write_recall


@step(RecallJob)
def main(job: RecallJob, questions: Path, indexes: list[Path], output: Path) -> None:
    """Write recall with its intervals, and the rank of the right passage for each question.

    Inputs:
        questions: questions with their right passages.
        indexes: folders of the indexes, in the order of their names.
    """
    write_recall(read_questions(questions), indexes, job, output)


if __name__ == "__main__":
    main()
