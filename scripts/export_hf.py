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
    corpora: list[Path] | None = None,
    documents: list[Path] | None = None,
    base: Path | None = None,
    template: Path | None = None,
) -> None:
    """Write a Hugging Face folder with tokenizer, chat template, parity.json, NOTICE and a model card.

    Inputs:
        model: NeMo checkpoint folder.
        rows: folders of the instruction data sets that the model was trained on.
        encoded: the same sets as token ids, in the same order.
        texts: test texts, JSONL.
        corpora: training text of the corpora that the model was trained on, JSONL.
        documents: reports of the sources of the sharded corpus that it was trained on.
        base: folder of a base model that comes from a source, for its licence files.
        template: folder of the base model, if its own chat template rendered the rows.
    """
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.deploy.huggingface import export_model
    from tapeout.deploy.notice import stated_licences

    stated = stated_licences([*(folder / "train.jsonl" for folder in rows), *(corpora or ())], documents or ())
    job = job.model_copy(update={"encoding": with_model_template(job.encoding, template)})
    export_model(model.resolve(), output, job, list(zip(rows, encoded, strict=True)), texts, stated, base)


if __name__ == "__main__":
    main()
