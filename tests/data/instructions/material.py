"""Source files, and the rows and sets made of them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tapeout.config.instructions import SPLITS, InstructionSetJob
from tapeout.data.instructions.instruction_set import rows_of, write_set
from tapeout.data.instructions.report import ImportReport

TEMPLATE = "Instruction: {context}\nInput: {question}\nResponse:\n"
ALL_TRAIN = {"validation": 0, "test": 0}


def job(format: str, **options: Any) -> InstructionSetJob:
    """Return the job of a set ``given`` with one source of that name."""
    template = {"template": TEMPLATE} if format == "squad" else {}
    return InstructionSetJob.model_validate(
        {
            "name": "given",
            "licences": {"given": "MIT"},
            "options": {"format": format, "sources": ["given"], **template, **options},
        }
    )


def write_lines(folder: Path, rows: Iterable[Any], name: str = "rows.jsonl") -> Path:
    """Write rows as JSON Lines into a folder; return the folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def contents(folder: Path, format: str, **options: Any) -> tuple[list[dict[str, Any]], ImportReport]:
    """Return the rows of a source before they are split, and the counts."""
    wanted = job(format, **options)
    report = ImportReport(wanted.options.bad_rows)
    return [row.as_json("MIT") for row in rows_of({"given": folder}, wanted, report)], report


def make_set(
    folder: Path, output: Path, format: str, **options: Any
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """Write a set; return the rows of all splits as they are written, and the report."""
    write_set({"given": folder}, job(format, **options), output)
    splits = {name: [json.loads(line) for line in (output / f"{name}.jsonl").open()] for name in SPLITS}
    return splits, json.loads((output / "report.json").read_bytes())
