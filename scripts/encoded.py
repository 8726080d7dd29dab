"""Turn the rows of an imported source into token ids with loss masks."""

from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.instructions import EncodeJob
from tapeout.data.encode.encoded_set import encode_set
from tapeout.program import run


def main(
    rows: Annotated[Path, typer.Option(help="folder of an imported source")],
    tokenizer: Annotated[Path, typer.Option(help="SentencePiece model")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Write a JSONL file for each side, prompt_template.json and report.json into the new folder ``output``."""
    encode_set(rows, tokenizer, EncodeJob.model_validate_json(params.read_bytes()), output)


if __name__ == "__main__":
    run(main)
