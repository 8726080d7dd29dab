"""Let one model answer the prompts of one task, to be judged later."""

from pathlib import Path

from tapeout.config.evaluation import SamplesJob
from tapeout.data.encode.model_template import with_model_template
from tapeout.evals.loaded_model import load
from tapeout.evals.samples import write_samples
from tapeout.evals.task import load_sampler
from tapeout.program import step


@step(SamplesJob)
def main(job: SamplesJob, model: Path, data: list[Path], output: Path, template: Path | None = None) -> None:
    """Write the greedy and the sampled answers of the model to one part of the prompts.

    Inputs:
        model: Hugging Face folder or NeMo checkpoint folder.
        data: files of the sampler for the part, in its order.
        template: folder of the base model, if its own chat template renders the rows.
    """
    sampler = load_sampler(job.sampler)
    options = sampler.options.model_validate(job.options)
    files = dict(zip(sampler.files(options, 0), data, strict=True))
    loaded = load(model, job, with_model_template(job.encoding, template))
    write_samples(output, loaded.facts, sampler.generate(loaded, files, options))


if __name__ == "__main__":
    main()
