"""Put the shards together: the data sets with their weights, and the counts."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from tapeout.config.pretraining import BlendJob
from tapeout.data.io.jsonl import write_json
from tapeout.data.shards.blend import blend
from tapeout.program import run


def main(
    reports: Annotated[list[Path], typer.Option(help="report of each shard's tokens")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="file to write")],
) -> None:
    """Write the blend as JSON."""
    job = BlendJob.model_validate_json(params.read_bytes())
    write_json(output, blend([orjson.loads(report.read_bytes()) for report in reports], job))


if __name__ == "__main__":
    run(main)
