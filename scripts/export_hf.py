"""Export the fine-tuned model to a Hugging Face folder and verify that it computes the same logits."""

from pathlib import Path

from tapeout.config.export import ExportJob
from tapeout.data.encode.model_template import with_model_template
from tapeout.program import step


@step(ExportJob)
def main(
    job: ExportJob,
    model: Path,
    rows: list[Path],
    encoded: list[Path],
    texts: list[Path],
    output: Path,
    base: Path | None = None,
    template: Path | None = None,
) -> None:
    """Write a Hugging Face folder with tokenizer, chat template, parity.json and NOTICE.

    Inputs:
        model: NeMo checkpoint folder.
        rows: folders of the instruction data sets that the model was trained on.
        encoded: the same sets as token ids, in the same order.
        texts: test texts, JSONL.
        base: folder of a base model that comes from a source, for its licence files.
        template: folder of the base model, if its own chat template rendered the rows.
    """
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.nemo.export import export_checkpoint

    job = job.model_copy(update={"encoding": with_model_template(job.encoding, template)})
    export_checkpoint(model.resolve(), output, job, list(zip(rows, encoded, strict=True)), texts, base)


if __name__ == "__main__":
    main()
