"""Readers of published formats, on small sets made for these tests."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tapeout.simulation.problems.modules import instantiates, modules, tops
from tapeout.simulation.problems.problem import MISMATCHES, InvalidProblem, Problem
from tapeout.simulation.problems.reading import read_problems
from tapeout.simulation.prompts import asked

HEADER = "module {name} (\n  input a,\n  input b,\n  output y\n);\n"
BODY = "  assign y = a & b;\nendmodule\n"
BENCH = """\
module tb;
  reg a = 0, b = 0;
  wire y, want;
  {reference} good (.a(a), .b(b), .y(want));
  {top} dut (.a(a), .b(b), .y(y));
  initial begin
    #1 $display("Mismatches: %0d in 1 samples", y !== want);
    $finish;
  end
endmodule
"""


def write_rows(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def refused(folder: Path, format: str, message: str) -> None:
    with pytest.raises(InvalidProblem) as error:
        read_problems(folder, format)
    assert message in str(error.value)


# VerilogEval, version 1

TASK = {
    "task_id": "both",
    "prompt": HEADER.format(name="top_module"),
    "canonical_solution": BODY,
    "test": HEADER.format(name="reference_module")
    + BODY
    + BENCH.format(reference="reference_module", top="top_module"),
}
DESCRIPTION = {"task_id": "both", "detail_description": " The output is 1 if both inputs are. "}


def test_verilogeval_1(tmp_path: Path) -> None:
    write_rows(tmp_path / "data/problems.jsonl", {**TASK, "task_id": "either"}, TASK)
    write_rows(tmp_path / "descriptions/problems.jsonl", DESCRIPTION, {**DESCRIPTION, "task_id": "either"})
    both, either = read_problems(tmp_path, "verilogeval_v1")
    assert (both.name, either.name, both.top, both.bench) == ("both", "either", "top_module", "tb")
    assert both.prompt == "The output is 1 if both inputs are.\n"
    assert asked(both).text == "The output is 1 if both inputs are.\n\n" + HEADER.format(name="top_module")
    assert (both.dialect, both.header, both.golden) == ("body", TASK["prompt"], TASK["prompt"] + BODY)
    assert both.files == {"test.sv": TASK["test"]} and both.verdict == MISMATCHES and not both.unusable
    assert both.hidden == {"tb", "reference_module"}


def test_malformed_sets_of_verilogeval_1(tmp_path: Path) -> None:
    problems, descriptions = tmp_path / "problems.jsonl", tmp_path / "descriptions.jsonl"
    write_rows(problems, TASK)
    refused(tmp_path, "verilogeval_v1", "the problem both has no description")
    write_rows(descriptions, DESCRIPTION, DESCRIPTION)
    refused(tmp_path, "verilogeval_v1", "line 2: the description of both is repeated")
    write_rows(descriptions, DESCRIPTION)
    write_rows(problems, TASK, TASK)
    refused(tmp_path, "verilogeval_v1", "2 problems both")
    write_rows(problems, {key: value for key, value in TASK.items() if key != "test"})
    refused(tmp_path, "verilogeval_v1", "line 1: test: Field required")
    write_rows(problems, {**TASK, "prompt": "// no header\n"})
    refused(tmp_path, "verilogeval_v1", "0 module headers")
    problems.write_text("{\n")
    refused(tmp_path, "verilogeval_v1", "line 1 is not JSON")
    problems.write_text("[]\n")
    refused(tmp_path, "verilogeval_v1", "line 1 is not a JSON object")


# VerilogEval, version 2


def write_v2(folder: Path, name: str = "Prob001_both", **changes: str) -> Path:
    texts = {
        "prompt.txt": "\nThe output is 1 if both inputs are.\n\n",
        "ref.sv": HEADER.format(name="RefModule") + BODY,
        "test.sv": BENCH.format(reference="RefModule", top="TopModule"),
    }
    for file, text in {**texts, **{key.replace("_", "."): text for key, text in changes.items()}}.items():
        (folder / f"{name}_{file}").write_text(text)
    return folder


def test_verilogeval_2(tmp_path: Path) -> None:
    header = HEADER.format(name="TopModule")
    description = "The output is 1 if both inputs are.\n"
    write_v2(tmp_path, "Prob002_and", ifc_txt=f"\n{header}\n", prompt_txt=f"\n{description}\n{header}\n")
    whole, continued = read_problems(write_v2(tmp_path), "verilogeval_v2")
    assert (whole.name, continued.name, whole.top, whole.bench) == ("Prob001_both", "Prob002_and", "TopModule", "tb")
    assert (whole.dialect, whole.header) == ("module", "")
    assert (continued.dialect, continued.header) == ("body", header)
    assert whole.golden == header + BODY
    assert whole.prompt == asked(whole).text == continued.prompt == description
    assert asked(continued).text == f"{description}\n{header}", "the header once"
    assert whole.sources == ("test.sv", "ref.sv") and whole.verdict == MISMATCHES
    assert whole.hidden == {"tb", "RefModule"}


def test_malformed_sets_of_verilogeval_2(tmp_path: Path) -> None:
    refused(write_v2(tmp_path, ref_sv=HEADER.format(name="Other") + BODY), "verilogeval_v2", "the module RefModule")
    refused(write_v2(tmp_path, test_sv="// module tb;\n"), "verilogeval_v2", "the module tb")
    (write_v2(tmp_path) / "Prob001_both_ref.sv").unlink()
    refused(tmp_path, "verilogeval_v2", "Prob001_both_ref.sv cannot be read")
    (write_v2(tmp_path) / "Prob001_both_prompt.txt").write_bytes(b"\xff")
    refused(tmp_path, "verilogeval_v2", "not UTF-8")


# RTLLM

RTLLM_BENCH = """\
module check_tb;
  reg [1:0] v[0:3];
  wire y;
  both uut (v[0][0], v[0][1], y);
  initial begin
    $readmemb("vectors.dat", v);
    #1 if (y === &v[0]) $display("===========Your Design Passed===========");
    else $display("===========Error===========");
    $finish;
  end
endmodule
"""


def write_rtllm(folder: Path, name: str, **changes: str | None) -> Path:
    files = {
        "design_description.txt": "Please write the module both.\n",
        "verified_both.v": HEADER.format(name="verified_both") + BODY,
        "testbench.v": RTLLM_BENCH,
        "vectors.dat": "11\n",
        "makefile": "TEST_DESIGN = both\n",
        "unrelated.txt": "notes\n",
    }
    (folder / name).mkdir(parents=True)
    for file, text in files.items():
        if (text := changes.get(file.partition(".")[0], text)) is not None:
            (folder / name / file).write_text(text)
    return folder


def test_rtllm(tmp_path: Path) -> None:
    write_rtllm(tmp_path, "Logic/Gates/both")
    write_rtllm(tmp_path, "plain", verified_both=HEADER.format(name="both") + BODY)
    other_name = HEADER.format(name="verified_and_gate") + BODY
    write_rtllm(tmp_path, "renamed", verified_both=other_name)
    write_rtllm(tmp_path, "second/both", verified_both=other_name, makefile="TEST_DESIGN = and2\n")
    with pytest.raises(InvalidProblem, match="2 problems both"):
        read_problems(tmp_path, "rtllm")
    (by_folder,) = read_problems(tmp_path / "second", "rtllm")
    assert by_folder.top == "both" and by_folder.golden == HEADER.format(name="both") + BODY
    shutil.rmtree(tmp_path / "second")
    both, plain, renamed = read_problems(tmp_path, "rtllm")
    assert (both.name, both.category, plain.category) == ("both", "logic", "unclassified")
    assert both.top == plain.top == renamed.top == "both"
    assert both.golden == plain.golden == renamed.golden == HEADER.format(name="both") + BODY
    assert both.files == {"testbench.v": RTLLM_BENCH, "vectors.dat": "11\n"}
    assert (both.sources, both.bench, both.unusable) == (("testbench.v",), "check_tb", "")
    assert both.verdict.passes("===========Your Design Passed===========\n")
    assert both.verdict.passes("=========== Your Design Passed ===========\n")
    failed = (
        "===========Error===========",
        "=========== Failed ===========",
        "=== Test completed with 3 /100 failures ===",
    )
    for line in failed:
        assert not both.verdict.passes(f"=== Your Design Passed ===\n{line}\n")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"testbench": None}, "does not have testbench.v"),
        ({"verified_both": None}, "does not have one file verified_*.v"),
        ({"testbench": "module t;\n  other uut ();\nendmodule\n"}, "not instantiate exactly one module"),
        ({"testbench": RTLLM_BENCH + "module more;\nendmodule\n"}, "has 2 top modules"),
    ],
)
def test_unusable_designs_of_rtllm(tmp_path: Path, changes: dict[str, str | None], reason: str) -> None:
    (problem,) = read_problems(write_rtllm(tmp_path, "both", **changes), "rtllm")
    assert reason in problem.unusable and problem.prompt.startswith("Please")


# CVDP

CVDP: dict[str, Any] = {
    "id": "own_both_0001",
    "categories": ["cid003", "easy"],
    "input": {"prompt": "Write the module both.", "context": {"docs/spec.md": "y = a AND b"}},
    "output": {"response": "", "context": {"rtl/both.sv": HEADER.format(name="both") + BODY}},
    "harness": {"files": {"bench.sv": "module bench;\n  wire y;\n  both dut (1'b1, 1'b1, y);\nendmodule\n"}},
}


def cvdp(folder: Path, **changes: Any) -> Problem:
    write_rows(folder / "set.jsonl", {**CVDP, **changes})
    (problem,) = read_problems(folder, "cvdp")
    return problem


def test_cvdp_with_a_harness_in_verilog(tmp_path: Path) -> None:
    problem = cvdp(tmp_path)
    assert (problem.name, problem.category, problem.difficulty) == ("own_both_0001", "cid003", "easy")
    assert (problem.top, problem.bench, problem.sources, problem.unusable) == ("both", "bench", ("bench.sv",), "")
    assert problem.prompt == "Write the module both.\n\nThe file docs/spec.md:\n\ny = a AND b\n"
    assert problem.golden == CVDP["output"]["context"]["rtl/both.sv"]
    assert problem.context == () and problem.hidden == {"bench"}
    gates = {"prompt": "Write it.", "context": {"rtl/gates.sv": "module gates;\nendmodule\n"}}
    with_context = cvdp(tmp_path, input=gates)
    assert with_context.context == ("rtl/gates.sv",) and with_context.hidden == {"bench"}


def test_unusable_rows_of_cvdp(tmp_path: Path) -> None:
    cocotb = {"files": {"docker-compose.yml": "services:\n", "src/test_both.py": "import cocotb\n"}}
    assert (
        "other programs than a simulator (docker-compose.yml, src/test_both.py)"
        in cvdp(tmp_path, harness=cocotb).unusable
    )
    assert cvdp(tmp_path, harness=cocotb).top == "both"
    assert "0 files" in cvdp(tmp_path, output={"response": "Because."}).unusable
    two = {"context": {"a.sv": "module a;\nendmodule\n", "b.sv": "module b;\nendmodule\n"}}
    assert "2 files" in cvdp(tmp_path, output=two).unusable
    empty = {"context": {"rtl/both.sv": "// nothing\n"}}
    assert cvdp(tmp_path, output=empty).unusable == "Its solution rtl/both.sv defines no module."
    assert "0 top modules" in cvdp(tmp_path, harness={"files": {}}).unusable
    agentic = {"id": "agent_1", "categories": ["cid003", "hard"], "prompt": "Edit it.", "patch": {"rtl/a.sv": "+"}}
    write_rows(tmp_path / "set.jsonl", agentic, CVDP)
    first, second = read_problems(tmp_path, "cvdp")
    assert "an agent" in first.unusable and first.difficulty == "hard" and not second.unusable


def test_malformed_rows_of_cvdp(tmp_path: Path) -> None:
    for change, message in (
        ({"input": {}}, "input.prompt: Field required"),
        ({"categories": []}, "categories"),
        ({"id": "a/b"}, "name"),
        ({"harness": {"files": {"../x.sv": ""}}}, "files"),
    ):
        write_rows(tmp_path / "set.jsonl", {**CVDP, **change})
        refused(tmp_path, "cvdp", message)


# names of modules


def test_modules_and_instances() -> None:
    text = """
    // module commented;
    module a #(parameter W = 2) (input x); b #(.N(3)) first (x); c second [3:0] (x); endmodule
    /* module also; */ module b #(parameter N = 1) (input x); endmodule
    module automatic c (input x); endmodule
    """
    assert modules(text) == ["a", "b", "c"]
    assert tops(text) == ["a"]
    assert instantiates(text, "b") and instantiates(text, "c") and not instantiates(text, "a")
