"""Check a problem set with its golden solutions and mutants."""

import tempfile
from pathlib import Path

from tapeout import progress
from tapeout.config.rtl_problems import CheckedJob
from tapeout.program import StepFailed, step
from tapeout.simulation.checked import check
from tapeout.simulation.containment import Containment
from tapeout.simulation.icarus import Icarus, installed_version
from tapeout.simulation.problem_set import read_lines, write_lines
from tapeout.simulation.verilator import Verilator
from tapeout.simulation.yosys import Yosys


@step(CheckedJob)
def main(job: CheckedJob, problems: Path, output: Path, threads: int) -> None:
    """Write unusable problems, surviving mutants, disagreements of simulators, and syntheses of golden solutions.

    Inputs:
        problems: problems.jsonl of the set.

    Raises:
        StepFailed: this machine does not have the version of Icarus Verilog that the configuration names.
    """
    if job.icarus and (found := installed_version()) != job.icarus:
        raise StepFailed(
            f"The configuration asks for Icarus Verilog {job.icarus}, and this machine has {found or 'none'}.",
            "Install that version, or set icarus of the problem set to the installed version or to null.",
        )
    containment = Containment(job.permit_no_isolation)
    print(f"generated programs: {containment.isolation}", flush=True)
    rows = read_lines(problems)
    with tempfile.TemporaryDirectory() as runtime:
        verilator = Verilator(containment, Path(runtime), threads)
        icarus = Icarus(containment, job.icarus) if job.icarus else None
        yosys = Yosys(containment, verilator) if job.synthesis else None
        checked = check(
            rows, verilator, icarus, yosys, job.max_mutants, containment.isolation, threads, progress.report
        )
    write_lines(output, [checked])


if __name__ == "__main__":
    main()
