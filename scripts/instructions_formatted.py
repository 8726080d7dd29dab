"""Bring instruction rows into the input/output form of supervised fine-tuning."""

from pathlib import Path
from typing import Annotated

import typer

from tapeout.command import run
from tapeout.config.instructions import FormattedInstructions
from tapeout.data.formats import format_rows
from tapeout.data.jsonl import read_jsonl, write_jsonl

FIELDS = ("instruction", "context", "response", "category")


def main(
    raw: Annotated[Path, typer.Option(help="rows in Dolly's schema, JSONL")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="JSONL file to write")],
) -> None:
    """Read rows in Dolly's schema and write as many rows with input, output and category, in the same order."""
    settings = FormattedInstructions.model_validate_json(params.read_bytes())
    write_jsonl(output, format_rows(raw, read_jsonl(raw, FIELDS), settings))


if __name__ == "__main__":
    run(main)
