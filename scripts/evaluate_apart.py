"""Evaluate one model on one task whose libraries are in an environment of their own."""

from pathlib import Path

from tapeout.config.evaluation import EvaluateJob
from tapeout.evals.scoring import score_model
from tapeout.program import step


@step(EvaluateJob)
def main(job: EvaluateJob, model: Path, data: list[Path], output: Path, template: Path | None = None) -> None:
    """Write the task's result for the model, with a score per test document.

    Inputs:
        model: Hugging Face folder or NeMo checkpoint folder.
        data: files and folders of the task, in the task's order.
        template: folder of the base model, if its own chat template renders the rows.
    """
    score_model(job, model, data, output, template)


if __name__ == "__main__":
    main()
