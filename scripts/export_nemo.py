"""Export the fine-tuned model to an archive that NeMo-1 and NeMo-Aligner read, and verify that it is the same model."""

from pathlib import Path

from tapeout.config.export import ExportNemoJob
from tapeout.data.encode.model_template import with_model_template
from tapeout.program import step


@step(ExportNemoJob)
def main(
    job: ExportNemoJob, model: Path, rows: list[Path], exported: Path, output: Path, template: Path | None = None
) -> None:
    """Write a ``.nemo`` archive with the tokenizer, the prompt template and the licences.

    Inputs:
        model: NeMo checkpoint folder.
        rows: folders of the instruction data sets that the model was trained on.
        exported: folder of the model in Hugging Face's format, which has NOTICE and the licences.
        template: folder of the base model, if its own chat template rendered the rows.
    """
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.deploy.nemo1_archive import export_archive

    job = job.model_copy(update={"encoding": with_model_template(job.encoding, template)})
    export_archive(model.resolve(), output, job, rows, exported)


if __name__ == "__main__":
    main()
