"""Toy format of problems from outside the package: files with a comment, a module, and after `// ----` its bench."""

from pathlib import Path

from tapeout.simulation.problems.problem import InvalidProblem, Problem


def read(folder: Path) -> list[Problem]:
    """Return a problem for each file."""
    problems = []
    for path in sorted(folder.glob("*.sv")):
        golden, mark, bench = path.read_text().partition("// ----\n")
        if not mark:
            raise InvalidProblem(f"{path.name} has no test bench.", "Add one after a line of dashes.")
        prompt = golden.partition("*/")[0].removeprefix("/*").strip()
        facts = {"name": path.stem, "title": path.stem, "top": path.stem, "prompt": prompt, "golden": golden}
        problems.append(Problem(**facts, files={"bench.sv": bench}, sources=("bench.sv",), bench="bench"))
    return problems
