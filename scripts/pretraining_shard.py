"""Clean one shard: duplicates, quality, secrets; take the documents' signatures."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.pretraining import ShardJob
from tapeout.data.shards.shard import write_shard
from tapeout.program import run


def main(
    parts: Annotated[list[Path], typer.Option(help="the shard's documents of each source, JSONL")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Write documents.jsonl, report.json and the signatures into the new folder ``output``."""
    job = ShardJob.model_validate_json(params.read_bytes())
    write_shard(parts, output, job, int(os.environ.get("TAPEOUT_THREADS", "1")))


if __name__ == "__main__":
    run(main)
