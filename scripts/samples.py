"""Let one model answer the prompts of one task."""

from pathlib import Path

from tapeout.config.evaluation import EvaluateJob
from tapeout.data.encode.model_template import with_model_template
from tapeout.evals.loaded_model import load
from tapeout.evals.samples import write_samples
from tapeout.evals.task import load_sampled_task
from tapeout.program import step


@step(EvaluateJob)
def main(job: EvaluateJob, model: Path, data: list[Path], output: Path, template: Path | None = None) -> None:
    """Write the greedy and the sampled answers of the model.

    Inputs:
        model: Hugging Face folder or NeMo checkpoint folder.
        data: test data of the task, in the task's order.
        template: folder of the base model, if its own chat template renders the rows.
    """
    encoding = None if job.encoding is None else with_model_template(job.encoding, template)
    task = load_sampled_task(job.task)
    options = task.options.model_validate(job.options)
    files = dict(zip(task.files(options), data, strict=True))
    loaded = load(model, job.threads, encoding)
    write_samples(output, loaded.facts, task.generate(loaded, files, options))


if __name__ == "__main__":
    main()
