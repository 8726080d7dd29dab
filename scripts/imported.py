"""Bring instruction data that others made into rows, and split them."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.imported import ImportJob
from tapeout.data.instructions.source import import_source
from tapeout.program import run


def main(
    source: Annotated[Path, typer.Option(help="folder of the source")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Write train.jsonl, validation.jsonl, test.jsonl and report.json into the new folder ``output``."""
    job = ImportJob.model_validate_json(params.read_bytes())
    workers = int(os.environ.get("TAPEOUT_THREADS", "1"))
    for side, count in import_source(source, job, output, workers).items():
        print(f"{side:12}{count:8}")
    for reason, each in json.loads((output / "report.json").read_bytes())["dropped"].items():
        print(f"{'left out':12}{each['count']:8}  {reason}")


if __name__ == "__main__":
    run(main)
