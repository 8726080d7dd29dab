"""Split formatted instructions: held-out cores test, some modules of the other cores validate, the rest trains."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.instructions import SplitsJob
from tapeout.data.instructions.splits import split_rows
from tapeout.data.io.jsonl import read_jsonl, write_json, write_jsonl
from tapeout.program import run

FIELDS = ("input", "output", "category", "source", "licence", "group", "digest")


def main(
    formatted: Annotated[Path, typer.Option(help="formatted rows, JSONL")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Write train.jsonl, validation.jsonl, test.jsonl and report.json into the new folder ``output``."""
    job = SplitsJob.model_validate_json(params.read_bytes())
    sides, dropped = split_rows(read_jsonl(formatted, FIELDS), job.test, job)
    output.mkdir()
    for side, rows in sides.items():
        write_jsonl(output / f"{side}.jsonl", rows)
    categories = {side: dict(Counter(row["category"] for row in rows)) for side, rows in sides.items()}
    write_json(output / "report.json", {"rows": categories, "dropped": dict(dropped)})


if __name__ == "__main__":
    run(main)
