"""Export the fine-tuned model to a GGUF file for llama.cpp, and verify that it is the same model."""

from pathlib import Path

from tapeout.config.export import ExportGgufJob
from tapeout.data.encode.model_template import with_model_template
from tapeout.program import step


@step(ExportGgufJob)
def main(
    job: ExportGgufJob,
    model: Path,
    rows: list[Path],
    encoded: list[Path],
    texts: list[Path],
    output: Path,
    template: Path | None = None,
) -> None:
    """Write a GGUF file with the tokenizer and the default chat template.

    Inputs:
        model: the exported Hugging Face folder.
        rows: folders of the instruction data sets that the model was trained on.
        encoded: the same sets as token ids, in the same order.
        texts: test texts, JSONL.
        template: folder of the base model, if its own chat template rendered the rows.
    """
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.deploy.gguf_check import export_gguf

    job = job.model_copy(update={"encoding": with_model_template(job.encoding, template)})
    export_gguf(model, output, job, list(zip(rows, encoded, strict=True)), texts)


if __name__ == "__main__":
    main()
