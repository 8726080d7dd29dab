"""Tokenize one shard."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.pretraining import TokensJob
from tapeout.program import run
from tapeout.tokenizer.tokenize_shard import write_tokens


def main(
    documents: Annotated[Path, typer.Option(help="documents of the shard, JSONL")],
    tokenizer: Annotated[Path, typer.Option(help="SentencePiece model")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
    near: Annotated[Path | None, typer.Option(help="which of the documents go, JSONL")] = None,
) -> None:
    """Write a .bin and an .idx for each component, and report.json, into the new folder ``output``."""
    job = TokensJob.model_validate_json(params.read_bytes())
    workers = int(os.environ.get("TAPEOUT_THREADS", "1"))
    write_tokens(documents, near, tokenizer, output, job.append_eod, workers)


if __name__ == "__main__":
    run(main)
