"""Give the base model rows for the pieces that the tokenizer was extended by."""

from pathlib import Path

import typer

from tapeout.command import run
from tapeout.config.base import BaseExtended
from tapeout.data.jsonl import write_json


def main(
    base: Path = typer.Option(...),
    tokenizer: Path = typer.Option(...),
    params: Path = typer.Option(...),
    output: Path = typer.Option(...),
) -> None:
    """Write a Hugging Face folder with the extended tokenizer and extension.json."""
    from tapeout.model.extend import extend_model
    from tapeout.model.llama import save

    job = BaseExtended.model_validate_json(params.read_bytes())
    model, report = extend_model(base, tokenizer, job)

    save(model, tokenizer, output)
    write_json(output / "extension.json", report)


if __name__ == "__main__":
    run(main)
