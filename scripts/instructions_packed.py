"""Pack instruction rows into sequences, as arrays."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.packing import Packing
from tapeout.data.encode.packed_rows import pack_file
from tapeout.program import run


def main(
    train: Annotated[Path, typer.Option(help="training rows, JSONL")],
    validation: Annotated[Path, typer.Option(help="validation rows, JSONL")],
    tokenizer: Annotated[Path, typer.Option(help="SentencePiece model")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Write the folders train and validation into the new folder ``output``."""
    job = Packing.model_validate_json(params.read_bytes())
    workers = int(os.environ.get("TAPEOUT_THREADS", "1"))
    output.mkdir()
    for rows in (train, validation):
        pack_file(rows, tokenizer, job.template, job.seq_length, output / rows.stem, workers)


if __name__ == "__main__":
    run(main)
