"""The project's own problems: their structure. The step that checks golden solutions simulates them."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tapeout.simulation.problems.problem import Problem
from tapeout.simulation.problems.reading import read_problems

FOLDER = Path(__file__).parents[3] / "config/rtl_problems"
MODULE = re.compile(r"^\s*module\s+(\w+)", re.MULTILINE)


@cache
def problems() -> list[Problem]:
    return read_problems(FOLDER, "folder")


def header(problem: Problem) -> str:
    found = re.search(rf"module {problem.top} (#\(.*?\) )?\(.*?\);", problem.golden, re.DOTALL)
    assert found, f"{problem.name}: golden.sv has no module {problem.top}"
    return found[0]


def without_layout(text: str) -> str:
    return " ".join(text.split())


def test_every_folder_is_a_problem() -> None:
    assert [problem.name for problem in problems()] == sorted(path.name for path in FOLDER.iterdir())


@pytest.mark.parametrize("problem", problems(), ids=lambda problem: problem.name)
def test_structure(problem: Problem) -> None:
    assert problem.top == problem.name, "a name is said once"
    assert without_layout(header(problem)) in without_layout(problem.prompt), "the prompt has the exact header"
    assert len(problem.mutants) >= 3
    assert len({without_layout(text) for text in (problem.golden, *problem.mutants.values())}) == 1 + len(
        problem.mutants
    )
    ports = re.findall(r"(\w+)\s*(?:,|\n?\);)", header(problem).partition("(")[2])
    described = problem.prompt.replace(header(problem), "")
    for port in ports:
        assert re.search(rf"\b{port}\b", described), f"the port {port} is not described"


@pytest.mark.parametrize("problem", problems(), ids=lambda problem: problem.name)
def test_bench(problem: Problem) -> None:
    bench = problem.files["bench.sv"]
    assert MODULE.findall(bench) == ["bench"]
    assert re.search(rf"^\s*{problem.top} (#\(.*?\) )?\w+ \(", bench, re.MULTILINE | re.DOTALL), (
        "instantiates the design"
    )
    assert bench.count('$display("PASS")') == 1
    assert '$display("FAIL' in bench and "$finish" in bench
    assert not re.search(r"\$u?random|\$(fopen|system|readmem\w|dump\w*)\b", bench), "deterministic, without files"
    assert not re.search(r"\bforever\b|\b(while|wait)\s*\(", bench), "every loop has a bound, besides the clock"


def test_categories_and_difficulties() -> None:
    categories = Counter(problem.category for problem in problems())
    difficulties = Counter(problem.difficulty for problem in problems())
    assert len(categories) == 6 and min(categories.values()) >= 5
    assert len(difficulties) == 3 and min(difficulties.values()) >= len(problems()) // 6
    assert len(problems()) >= 42
