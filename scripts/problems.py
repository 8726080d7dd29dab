"""Read a problem set for Verilog generation, and check it with its golden solutions and mutants."""

import tempfile
from pathlib import Path

from tapeout import progress
from tapeout.config.rtl_problems import ProblemsJob
from tapeout.program import StepFailed, step
from tapeout.simulation.checked import check
from tapeout.simulation.containment import Containment
from tapeout.simulation.icarus import Icarus, installed_version
from tapeout.simulation.problem_set import write_lines
from tapeout.simulation.problems.reading import read_problems
from tapeout.simulation.verilator import Verilator


@step(ProblemsJob)
def main(job: ProblemsJob, source: Path, output: Path, threads: int) -> None:
    """Write problems.jsonl, and checked.json with unusable problems, surviving mutants and disagreements.

    Inputs:
        source: folder of the problem set.

    Raises:
        StepFailed: this machine does not have the version of Icarus Verilog that the configuration names.
    """
    if job.icarus and (found := installed_version()) != job.icarus:
        raise StepFailed(
            f"The configuration asks for Icarus Verilog {job.icarus}, and this machine has {found or 'none'}.",
            "Install that version, or set icarus of the problem set to the installed version or to null.",
        )
    problems = read_problems(source, job.format)
    containment = Containment(job.permit_no_isolation)
    print(f"generated programs: {containment.isolation}", flush=True)
    with tempfile.TemporaryDirectory() as runtime:
        verilator = Verilator(containment, Path(runtime), threads)
        icarus = Icarus(containment, job.icarus) if job.icarus else None
        checked = check(problems, verilator, icarus, job.max_mutants, containment.isolation, threads, progress.report)
    output.mkdir()
    write_lines(output / "problems.jsonl", problems)
    write_lines(output / "checked.json", [checked])


if __name__ == "__main__":
    main()
