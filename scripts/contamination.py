"""Search the training text for the test data of one evaluation task."""

from pathlib import Path

from tapeout.config.inspection import ContaminationJob
from tapeout.data.io.jsonl import write_json
from tapeout.inspection.contamination import search
from tapeout.program import step


@step(ContaminationJob)
def main(job: ContaminationJob, data: list[Path], training: list[Path], output: Path, threads: int) -> None:
    """Write the share of n-grams of each test unit that the training text has.

    Inputs:
        data: test data of the task.
        training: files of training rows, in the order of ``job.training``.
    """
    write_json(output, search(data, training, job, threads))


if __name__ == "__main__":
    main()
