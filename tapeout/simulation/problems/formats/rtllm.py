"""RTLLM: a folder a design, with design_description.txt, testbench.v and a reference solution verified_*.v.

The set has no fixed names of modules. The design is the module that the reference solution defines, perhaps with
``verified_`` in front, and the test bench instantiates; or the one that has the name of the folder or the makefile's
TEST_DESIGN, if the test bench instantiates it and the reference solution has one top module, of whatever name.
"""

import re
from pathlib import Path
from typing import Any

from tapeout.simulation.problems.files import problem_of, read_text
from tapeout.simulation.problems.modules import instantiates, modules, tops
from tapeout.simulation.problems.problem import Problem, Verdict

DESCRIPTION, BENCH, REFERENCES, MARK = "design_description.txt", "testbench.v", "verified_*.v", "verified_"
MAKEFILE, TEST_DESIGN = "makefile", re.compile(r"^TEST_DESIGN\s*=\s*(\w+)", re.MULTILINE)
DATA = {".dat", ".txt", ".hex", ".mem"}
"""Suffixes of files that a test bench may read."""
VERDICT = Verdict(passed=r"=+ *Your Design Passed *=+", failed=r"=+ *(Error|Fail(ed|ure)?|Test completed with.*) *=+.*")


def read(folder: Path) -> list[Problem]:
    """Return the problems of a folder, one for each file design_description.txt.

    A design without test bench or reference solution, or whose two do not fit together, is unusable.

    Raises:
        InvalidProblem: a file is not UTF-8.
    """
    return [_problem(path, folder) for path in sorted(folder.rglob(DESCRIPTION))]


def _problem(path: Path, root: Path) -> Problem:
    folder = path.parent
    above = folder.relative_to(root).parts[:-1]
    values: dict[str, Any] = {
        "name": folder.name,
        "title": folder.name,
        "prompt": read_text(path).strip() + "\n",
        "verdict": VERDICT,
    }
    if above:
        values["category"] = above[0].lower()
    references = sorted(folder.glob(REFERENCES))
    if len(references) != 1 or not (folder / BENCH).is_file():
        missing = BENCH if len(references) == 1 else f"one file {REFERENCES}"
        return problem_of(path, **values, top="", unusable=f"The folder does not have {missing}.")
    golden, bench = read_text(references[0]), read_text(folder / BENCH)
    files = {BENCH: bench}
    for data in sorted(folder.iterdir()):
        if data.suffix in DATA and data.name != DESCRIPTION and data.name in bench:
            files[data.name] = read_text(data)
    values |= {"golden": golden, "files": files, "sources": (BENCH,)}
    if (names := _names(folder, golden, bench)) is None:
        unusable = "The test bench does not instantiate exactly one module of the reference solution."
        return problem_of(path, **values, top="", unusable=unusable)
    reference, values["top"] = names
    values["golden"] = re.sub(rf"\b{reference}\b", values["top"], golden)
    if len(benches := tops(bench)) != 1:
        return problem_of(path, **values, unusable=f"{BENCH} has {len(benches)} top modules.")
    return problem_of(path, **values, bench=benches[0])


def _names(folder: Path, golden: str, bench: str) -> tuple[str, str] | None:
    """Return the name of the design in the reference solution and in the test bench."""
    found = [name for name in modules(golden) if instantiates(bench, name.removeprefix(MARK))]
    if len(found) == 1:
        return found[0], found[0].removeprefix(MARK)
    makefile = folder / MAKEFILE
    named = TEST_DESIGN.search(read_text(makefile)) if makefile.is_file() else None
    own = tops(golden)
    if found or len(own) != 1:
        return None
    candidates = [folder.name, *([named[1]] if named else [])]
    return next(((own[0], name) for name in candidates if instantiates(bench, name)), None)
