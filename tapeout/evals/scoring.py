"""Score one model on one task, for the steps that do so in different environments."""

from pathlib import Path

from tapeout.config.evaluation import EvaluateJob
from tapeout.data.encode.model_template import with_model_template
from tapeout.evals.loaded_model import load
from tapeout.evals.task import load_scored_task, write_result


def score_model(job: EvaluateJob, model: Path, data: list[Path], output: Path, template: Path | None) -> None:
    """Write the task's result for the model, with a score per test document or row.

    Args:
        job: task, options, and what computes.
        model: Hugging Face folder or NeMo checkpoint folder.
        data: test data of the task, in the task's order.
        output: file of the result.
        template: folder of the base model, if its own chat template renders the rows.
    """
    encoding = None if job.encoding is None else with_model_template(job.encoding, template)
    task = load_scored_task(job.task)
    options = task.options.model_validate(job.options)
    files = dict(zip(task.files(options), data, strict=True))
    loaded = load(model, job, encoding)
    write_result(output, loaded.facts, task.score(loaded, files, options))
