"""Compare the variants of a sweep: report.html, and report.json for programs."""

from pathlib import Path

from tapeout.config.report import SweepJob
from tapeout.program import step
from tapeout.report.evaluation.inputs import Action, Provenance, action_digest, read_input, read_logs
from tapeout.report.sweep.report import build, write_numbers, write_page


@step(SweepJob)
def main(job: SweepJob, evaluations: list[Path], models: list[Path], action: Path, output: Path) -> None:
    """Compare the variants on all tasks and write the report.

    Inputs:
        evaluations: results of the first variant for each task, then those of the next variant.
        models: the compared model of each variant; its training log is read.
        action: action file of this step.
    """
    inputs = read_input(action, Action)
    provenance = Provenance(inputs, {"evaluations": evaluations, "models": models})
    logs = read_logs(dict(zip(job.variants, models, strict=True)))
    report = build(evaluations, logs, inputs, provenance, job, action_digest(action))
    output.mkdir()
    write_numbers(report, output / "report.json")
    write_page(report, output / "report.html")


if __name__ == "__main__":
    main()
