"""Look at one set before anything trains on it: counts, what of the test sets it holds, what has a loss."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.inspection import InspectJob
from tapeout.program import run


def main(
    rows: Annotated[Path, typer.Option(help="folder of the set")],
    tests: Annotated[list[Path], typer.Option(help="files of all test sets, JSONL")],
    tokenizer: Annotated[Path, typer.Option(help="SentencePiece model")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
    encoded: Annotated[Path | None, typer.Option(help="folder of an imported source as token ids")] = None,
) -> None:
    """Write measures.json, overlaps.jsonl and samples.jsonl into the new folder ``output``."""
    from tapeout.inspection.inspect import inspect

    job = InspectJob.model_validate_json(params.read_bytes())
    inspect(rows, encoded, tests, tokenizer, job, output, int(os.environ.get("TAPEOUT_THREADS", "1")))


if __name__ == "__main__":
    run(main)
