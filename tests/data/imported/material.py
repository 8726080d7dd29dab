"""Files of a source, and what is made of them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tapeout.config.imported import SIDES, ImportJob
from tapeout.data.instructions.import_report import Account
from tapeout.data.instructions.source import import_source, read_rows

TEMPLATE = "Instruction: {context}\nInput: {question}\nResponse:\n"


def job(format: str, **options: Any) -> ImportJob:
    return ImportJob.model_validate(
        {"source": "given", "licence": "MIT", "rows": {"format": format, **options}, "template": TEMPLATE}
    )


def write_lines(folder: Path, rows: Iterable[Any], name: str = "rows.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def contents(folder: Path, format: str, **options: Any) -> tuple[list[dict[str, Any]], Account]:
    """What is read of a source, before it is split, and the account."""
    wanted = job(format, **options)
    account = Account(wanted.rows.bad_rows)
    rows = list(read_rows(folder, wanted, account))
    return [row.line(wanted.source, wanted.licence) for row in rows], account


def imported(
    folder: Path, output: Path, format: str, **options: Any
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Any]]:
    """The rows of all sides, as they are written, and the report."""
    import_source(folder, job(format, **options), output)
    sides = {side: [json.loads(line) for line in (output / f"{side}.jsonl").open()] for side in SIDES}
    return sides, json.loads((output / "report.json").read_bytes())
