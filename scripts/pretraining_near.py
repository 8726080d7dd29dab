"""Find near duplicates over all shards."""

from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.pretraining import NearJob
from tapeout.data.shards.near_duplicates import write_near
from tapeout.program import run


def main(
    signatures: Annotated[list[Path], typer.Option(help="signatures of each shard")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Write for each shard which of its documents go, and report.json, into the new folder ``output``."""
    job = NearJob.model_validate_json(params.read_bytes())
    write_near(signatures, job.shards, output, job)


if __name__ == "__main__":
    run(main)
