"""VerilogEval, version 2: files ``<name>_prompt.txt``, ``<name>_ref.sv`` and ``<name>_test.sv``.

A file ``<name>_ifc.txt``, which the set for code completion has, is the header that an answer continues; the prompts of
this set end with it.
"""

import re
from pathlib import Path

from tapeout.simulation.problems.files import invalid, problem_of, read_text
from tapeout.simulation.problems.modules import modules
from tapeout.simulation.problems.problem import MISMATCHES, Problem

PROMPT = "_prompt.txt"
REFERENCE, TOP, BENCH = "RefModule", "TopModule", "tb"
"""Names of the reference solution, the design and the test bench in every problem."""


def read(folder: Path) -> list[Problem]:
    """Return the problems of a folder, one for each file ``*_prompt.txt``.

    Raises:
        InvalidProblem: a file is missing, or does not define the module that it should.
    """
    return [_problem(path) for path in sorted(folder.rglob(f"*{PROMPT}"))]


def _problem(path: Path) -> Problem:
    name = path.name.removesuffix(PROMPT)
    reference = path.with_name(f"{name}_ref.sv")
    test = path.with_name(f"{name}_test.sv")
    interface = path.with_name(f"{name}_ifc.txt")
    texts = {"test.sv": read_text(test), "ref.sv": read_text(reference)}
    for file, text, module in ((reference, texts["ref.sv"], REFERENCE), (test, texts["test.sv"], BENCH)):
        if module not in modules(text):
            raise invalid(file, f"it does not define the module {module}")
    header = read_text(interface).strip() + "\n" if interface.is_file() else ""
    return problem_of(
        path,
        name=name,
        title=name,
        top=TOP,
        prompt=read_text(path).strip().removesuffix(header.strip()).rstrip() + "\n",
        dialect="body" if header else "module",
        header=header,
        golden=re.sub(rf"\b{REFERENCE}\b", TOP, texts["ref.sv"]),
        files=texts,
        sources=tuple(texts),
        bench=BENCH,
        verdict=MISMATCHES,
    )
