"""Give the base model rows for the pieces that the tokenizer was extended by."""

from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.base import BaseExtended
from tapeout.data.io.jsonl import write_json
from tapeout.program import run


def main(
    base: Annotated[Path, typer.Option(help="Hugging Face folder of the base model")],
    tokenizer: Annotated[Path, typer.Option(help="extended SentencePiece model")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="Hugging Face folder to write")],
) -> None:
    """Write a Hugging Face folder with the extended tokenizer and extension.json."""
    from tapeout.models.extend import extend_model
    from tapeout.models.llama.architecture import save

    job = BaseExtended.model_validate_json(params.read_bytes())
    model, report = extend_model(base, tokenizer, job)

    save(model, tokenizer, output)
    write_json(output / "extension.json", report)


if __name__ == "__main__":
    run(main)
