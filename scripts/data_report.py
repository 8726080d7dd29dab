"""Write the data report: report.html, and report.json for programs and the gates."""

from pathlib import Path

from tapeout.config.inspection import DataReportJob
from tapeout.inspection.data_summary import summarize
from tapeout.program import step
from tapeout.report.data.page import write_numbers, write_page


@step(DataReportJob)
def main(job: DataReportJob, inspected: list[Path], reports: list[Path], tests: list[Path], output: Path) -> None:
    """Compare the measurements with the limits and write both files; only the step ``gates`` stops a run.

    Inputs:
        inspected: measurements of each set.
        reports: reports of the steps that drop rows or documents.
        tests: files of all test sets, JSONL.
    """
    summary = summarize(inspected, reports, job)
    output.mkdir()
    write_numbers(summary, job, output / "report.json")
    write_page(summary, job, tests, output / "report.html")


if __name__ == "__main__":
    main()
