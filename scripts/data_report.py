"""Write the report on the data: report.html for people, report.json for programs and the gates."""

from pathlib import Path

from tapeout.config.inspection import ReportJob
from tapeout.data.io.jsonl import write_json
from tapeout.inspection.data_summary import gather
from tapeout.program import step
from tapeout.report.data.page import numbers, page


@step(ReportJob)
def main(job: ReportJob, inspected: list[Path], reports: list[Path], tests: list[Path], output: Path) -> None:
    """Compare the measurements with the bounds and write both files; only the step ``gates`` stops a run.

    Args:
        inspected: measurements of each set.
        reports: reports of the steps that drop rows or documents.
        tests: files of all test sets, JSONL.
    """
    summary = gather(inspected, reports, job)
    output.mkdir()
    write_json(output / "report.json", numbers(summary, job))
    (output / "report.html").write_text(page(summary, job, tests), encoding="utf-8")


if __name__ == "__main__":
    main()
