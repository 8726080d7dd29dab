"""Read a problem set for Verilog generation."""

from pathlib import Path

from tapeout.config.rtl_problems import ProblemsJob
from tapeout.program import step
from tapeout.simulation.problem_set import write_lines
from tapeout.simulation.problems.reading import read_problems
from tapeout.simulation.prompts import write_prompts


@step(ProblemsJob)
def main(job: ProblemsJob, source: Path, output: Path) -> None:
    """Write problems.jsonl, and the prompts of each part in prompts.

    Inputs:
        source: folder of the problem set.
    """
    problems = read_problems(source, job.format)
    output.mkdir()
    write_lines(output / "problems.jsonl", problems)
    write_prompts(output, problems, job.parts)


if __name__ == "__main__":
    main()
