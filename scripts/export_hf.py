"""Export the fine-tuned model to a Hugging Face folder and verify that it computes the same logits."""

from pathlib import Path

from tapeout.config.export import ExportJob
from tapeout.program import step


@step(ExportJob)
def main(job: ExportJob, model: Path, output: Path) -> None:
    """Write a Hugging Face folder with tokenizer, chat template, parity.json and NOTICE.

    Inputs:
        model: NeMo checkpoint folder.
    """
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.nemo.convert import export_checkpoint

    export_checkpoint(model.resolve(), output, job)


if __name__ == "__main__":
    main()
