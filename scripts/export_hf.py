"""Export the fine-tuned model to a Hugging Face folder and prove that it is the same model."""

from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.export import ExportJob
from tapeout.program import run


def main(
    model: Annotated[Path, typer.Option(help="NeMo checkpoint folder")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="Hugging Face folder to write")],
) -> None:
    """Write a Hugging Face folder with tokenizer, chat template, parity.json and NOTICE."""
    job = ExportJob.model_validate_json(params.read_bytes())
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.nemo.convert import export_checkpoint
    from tapeout.nemo.notice import notice

    export_checkpoint(model.resolve(), output, job.tolerance, job.parity_tokens)
    (output / "NOTICE").write_text(notice(job), encoding="utf-8")


if __name__ == "__main__":
    run(main)
