"""Write the report on the data: report.html for people, report.json for programs and the gates."""

from pathlib import Path
from typing import Annotated

import typer

from tapeout.config.inspection import ReportJob
from tapeout.program import run


def main(
    inspected: Annotated[list[Path], typer.Option(help="what was found in each set")],
    reports: Annotated[list[Path], typer.Option(help="reports of the steps that leave something out")],
    tests: Annotated[list[Path], typer.Option(help="files of all test sets, JSONL")],
    params: Annotated[Path, typer.Option(help="parameters, JSON")],
    output: Annotated[Path, typer.Option(help="folder to write")],
) -> None:
    """Put together what was found, and hold it against the bounds. Nothing is stopped here: see ``gates``."""
    from tapeout.data.io.jsonl import write_json
    from tapeout.inspection.data_summary import gather
    from tapeout.report.data.page import numbers, page

    job = ReportJob.model_validate_json(params.read_bytes())
    whole = gather(inspected, reports, job)
    output.mkdir()
    write_json(output / "report.json", numbers(whole, job))
    (output / "report.html").write_text(page(whole, job, tests), encoding="utf-8")


if __name__ == "__main__":
    run(main)
