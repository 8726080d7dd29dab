"""Make an instruction data set: read its sources in their format, and split the rows."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.instructions import InstructionSetJob
from tapeout.data.instructions.instruction_set import write_set
from tapeout.program import run


def main(
    sources: Annotated[list[Path], typer.Option(help="folder of a source, in the order of the sorted names")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Write train.jsonl, validation.jsonl, test.jsonl and report.json into the new folder ``output``."""
    job = InstructionSetJob.model_validate_json(params.read_bytes())
    folders = dict(zip(job.options.sources, sources, strict=True))
    for split, count in write_set(folders, job, output, int(os.environ.get("TAPEOUT_THREADS", "1"))).items():
        print(f"{split:12}{count:8}")
    for reason, dropped in json.loads((output / "report.json").read_bytes())["dropped"].items():
        print(f"{'dropped':12}{dropped['count']:8}  {reason}")


if __name__ == "__main__":
    run(main)
