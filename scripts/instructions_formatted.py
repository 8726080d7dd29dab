"""Bring instruction rows into the input/output form of supervised fine-tuning."""

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.instructions import FormattedJob
from tapeout.data.instructions.formatting import FIELDS, format_rows, own_rows
from tapeout.data.io.jsonl import read_jsonl, write_jsonl
from tapeout.program import run


def main(
    raw: Annotated[Path, typer.Option(help="rows in Dolly's schema, JSONL")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="JSONL file to write")],
    own: Annotated[list[Path] | None, typer.Option(help="folder of own rows, in the order of the sorted names")] = None,
) -> None:
    """Read rows in Dolly's schema and write as many rows with input, output and category, in the same order."""
    job = FormattedJob.model_validate_json(params.read_bytes())
    rows = [format_rows(raw, read_jsonl(raw, FIELDS), job)]
    for folder, (name, licence) in zip(own or [], sorted(job.own.items()), strict=True):
        rows.append(own_rows(folder, name, licence, job))
    write_jsonl(output, chain.from_iterable(rows))


if __name__ == "__main__":
    run(main)
