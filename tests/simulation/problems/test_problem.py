"""The model of a problem, and the project's own format."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from tapeout.plugins import UnknownPlugin
from tapeout.simulation.problems.problem import MISMATCHES, PASS_LINE, InvalidProblem, Problem
from tapeout.simulation.problems.reading import read_problems

DESCRIPTION = """\
title: Inverter
category: combinational
difficulty: easy
top: inverter
prompt: |
  Invert a.
mutants:
  - {name: wire, find: "~a", replace: "a"}
"""
GOLDEN = "module inverter (input logic a, output logic y);\n  assign y = ~a;\nendmodule\n"
BENCH = 'module bench;\n  initial begin $display("PASS"); $finish; end\nendmodule\n'


def problem_set(folder: Path, **changes: str) -> Path:
    for name in ("second", "first"):
        (folder / name).mkdir()
        files = {"problem.yaml": DESCRIPTION, "golden.sv": GOLDEN, "bench.sv": BENCH}
        for file, text in files.items():
            (folder / name / file).write_text(changes.get(file.partition(".")[0], text))
    return folder


def test_a_folder_becomes_sorted_problems(tmp_path: Path) -> None:
    first, second = read_problems(problem_set(tmp_path), "folder")
    assert (first.name, second.name) == ("first", "second")
    assert first.golden == GOLDEN
    assert first.mutants == {"wire": GOLDEN.replace("~a", "a")}
    assert (first.files, first.sources, first.bench) == ({"bench.sv": BENCH}, ("bench.sv",), "bench")
    assert first.dialect == "module" and first.verdict == PASS_LINE and not first.unusable


def test_the_digest_covers_every_value_and_survives_a_row(tmp_path: Path) -> None:
    first, second = read_problems(problem_set(tmp_path), "folder")
    assert Problem.model_validate_json(first.model_dump_json()).digest == first.digest
    assert first.digest != second.digest
    for change in ({"prompt": "Invert b."}, {"mutants": {}}, {"verdict": MISMATCHES}, {"unusable": "It is."}):
        assert first.model_copy(update=change).digest != first.digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"problem": DESCRIPTION.replace("easy", "trivial")}, "difficulty"),
        ({"problem": DESCRIPTION.replace('"~a"', '"a"')}, "occurs 3 times in golden.sv, not once"),
        ({"problem": DESCRIPTION.replace('replace: "a"', 'replace: "~a"')}, "changes nothing"),
        ({"problem": DESCRIPTION + '  - {name: wire, find: "~", replace: ""}\n'}, "wire is repeated"),
        ({"problem": DESCRIPTION.replace("top: inverter", "top: a-b")}, "top"),
        ({"problem": DESCRIPTION + "title: again\n"}, "the key title is repeated"),
        ({"problem": DESCRIPTION + "notes: none\n"}, "notes"),
        ({"problem": "mutants: [\n"}, "not closed"),
        ({"golden": "\udcff"}, "not UTF-8"),
    ],
)
def test_malformed_problems_are_named(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    folder = problem_set(tmp_path, **{name: text for name, text in changes.items() if "\udcff" not in text})
    if "\udcff" in changes.get("golden", ""):
        (folder / "first/golden.sv").write_bytes(b"\xff")
    with pytest.raises(InvalidProblem, match=r"\w+") as error:
        read_problems(folder, "folder")
    assert message in str(error.value)


def test_a_missing_file_an_empty_folder_and_an_unknown_format_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InvalidProblem, match="no problem in the format folder"):
        read_problems(tmp_path, "folder")
    (problem_set(tmp_path) / "second/bench.sv").unlink()
    with pytest.raises(InvalidProblem, match=r"second/bench\.sv cannot be read"):
        read_problems(tmp_path, "folder")
    with pytest.raises(UnknownPlugin, match="folders"):
        read_problems(tmp_path, "folders")


def test_a_format_from_outside_the_package(tmp_path: Path) -> None:
    (tmp_path / "inverter.sv").write_text(f"/* Invert a. */\n{GOLDEN}// ----\n{BENCH}")
    (problem,) = read_problems(tmp_path, "tests.toys.toy_problems")
    assert (problem.name, problem.top, problem.prompt) == ("inverter", "inverter", "Invert a.")
    assert problem.files == {"bench.sv": BENCH} and GOLDEN in problem.golden
    (tmp_path / "second.sv").write_text(GOLDEN)
    with pytest.raises(InvalidProblem, match=r"second\.sv has no test bench"):
        read_problems(tmp_path, "tests.toys.toy_problems")


@pytest.mark.parametrize(
    ("output", "own", "mismatches"),
    [
        ("PASS\n", True, False),
        ("info\n  PASS  \r\nbench.sv:9: $finish\n", True, False),
        ("PASS\nPASS\n", False, False),
        ("PASS\nFAIL q is 3, not 4\n", False, False),
        ("PASSED\n", False, False),
        ("", False, False),
        ("Hint: ok\nMismatches: 0 in 20 samples\n", False, True),
        ("Mismatches: 3 in 20 samples\n", False, False),
        ("Mismatches: 0 in 0 samples\n", False, False),
    ],
)
def test_verdicts(output: str, own: bool, mismatches: bool) -> None:
    assert PASS_LINE.passes(output) is own
    assert MISMATCHES.passes(output) is mismatches


@pytest.mark.parametrize(
    "change",
    [
        {"files": {"../bench.sv": BENCH}, "sources": ("../bench.sv",)},
        {"files": {"/bench.sv": BENCH}, "sources": ("/bench.sv",)},
        {"files": {"bench.sv": BENCH, "answer.sv": GOLDEN}},
        {"files": {"bench.sv": BENCH, "sim": "data"}},
        {"files": {"bench.sv": BENCH, "obj/data": "data"}},
        {"files": {"bench.sv": BENCH, "data": "data", "data/more": "data"}},
        {"sources": ("other.sv",)},
        {"context": ("other.sv",)},
        {"header": "module m;"},
        {"dialect": "body"},
        {"golden": ""},
        {"verdict": {"passed": "(", "failed": ""}},
    ],
)
def test_inconsistent_problems_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    values = read_problems(problem_set(tmp_path), "folder")[0].model_dump()
    with pytest.raises(ValidationError):
        Problem.model_validate({**values, **change})
