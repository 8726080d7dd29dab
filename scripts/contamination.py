"""Search the training text for the test data of one evaluation task."""

from pathlib import Path

from tapeout.config.inspection import ContaminationJob
from tapeout.data.io.jsonl import write_json
from tapeout.evals.task import load_task
from tapeout.inspection.contamination import search, unit_texts
from tapeout.program import step


@step(ContaminationJob)
def main(job: ContaminationJob, data: list[Path], training: list[Path], output: Path, threads: int) -> None:
    """Write the share of n-grams of each test unit that the training text has.

    Inputs:
        data: test data of the task.
        training: files of training rows, in the order of ``job.training``.
    """
    task = load_task(job.task)
    options = task.options.model_validate(job.options)
    texts = task.texts(dict(zip(task.searched(options), data, strict=True)), options)
    write_json(output, search(unit_texts(data) if texts is None else texts, training, job, threads))


if __name__ == "__main__":
    main()
