"""Judge the saved samples of one model."""

from pathlib import Path

from tapeout.config.evaluation import JudgeJob
from tapeout.evals.samples import read_parts
from tapeout.evals.task import load_sampled_task, write_result
from tapeout.program import step


@step(JudgeJob)
def main(job: JudgeJob, samples: list[Path], data: list[Path], output: Path, threads: int) -> None:
    """Write the task's result for the model that wrote the samples.

    Inputs:
        samples: its answers, by part.
        data: test data of the task, in the task's order.
    """
    task = load_sampled_task(job.task)
    options = task.options.model_validate(job.options)
    files = dict(zip(task.files(options), data, strict=True))
    facts, answers = read_parts(samples)
    write_result(output, facts, task.judge(answers, files, options, threads))


if __name__ == "__main__":
    main()
