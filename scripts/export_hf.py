"""Export the fine-tuned model to a Hugging Face folder and prove that it is the same model."""

from pathlib import Path
from typing import Annotated

import typer

from tapeout.command import run
from tapeout.config.export import Export


def main(
    model: Annotated[Path, typer.Option()],
    params: Annotated[Path, typer.Option()],
    output: Annotated[Path, typer.Option()],
) -> None:
    """Write a Hugging Face folder with tokenizer, chat template and parity.json."""
    job = Export.model_validate_json(params.read_bytes())
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.nemo.convert import export_checkpoint

    export_checkpoint(model.resolve(), output, job.tolerance, job.parity_tokens)


if __name__ == "__main__":
    run(main)
