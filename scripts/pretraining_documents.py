"""Read one source, and put each document into the shard that its digest names."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.pretraining import DocumentsJob
from tapeout.data.shards.sharding import write_shards
from tapeout.program import run


def main(
    source: Annotated[Path, typer.Option(help="folder of the source")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Write a file for each shard, and report.json, into the new folder ``output``."""
    job = DocumentsJob.model_validate_json(params.read_bytes())
    write_shards(source, output, job, int(os.environ.get("TAPEOUT_THREADS", "1")))


if __name__ == "__main__":
    run(main)
