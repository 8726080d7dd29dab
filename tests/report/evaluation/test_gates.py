"""Gates of the evaluation: any number of the report, a red page, and a run that fails after the report is written."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tapeout.config.evaluation_gates import EvalGatesJob, Gate
from tapeout.config.report import GENERAL_TEXT, EvalReportJob, Report
from tapeout.report.evaluation.gates import EvaluationGateFailed, GateResult, UnknownNumber, measure_gates
from tests.report.evaluation.conftest import GOOD

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[3]
Make = Callable[..., dict[str, Any]]
EXACT = "measures.rtl.exact_match.models.sft.value"
GENERAL = "measures.bits_per_byte.general.relative_changes.base_to_sft.value"


def write(files: dict[str, Any], output: Path) -> Path:
    main = runpy.run_path(str(ROOT / "scripts" / "eval_report.py"))["main"].__wrapped__
    job = EvalReportJob.model_validate_json(files["params"].read_bytes())
    main(job, **{name: value for name, value in files.items() if name != "params"}, output=output)
    return output


def test_numbers_are_found_by_dotted_names() -> None:
    document = {"a": {"b.c": {"value": 2.0, "text": "x", "flag": True}}, "list": [{"n": 1}], "none": None}
    gates = {
        "one": Gate(number="a.b.c.value", max=2),
        "two": Gate(number="list.0.n", min=2),
        "three": Gate(number="none", min=9),
    }
    results = measure_gates(document, gates)
    assert [(result.value, result.passed) for result in results] == [(2.0, True), (1, False), (None, True)]
    assert results[1].limit == "at least 2" and Gate(number="x", min=1, max=2).passes(1.5)
    for name in ("a.b.c.text", "a.b.c.flag", "a", "a.b.c.valu"):
        with pytest.raises(UnknownNumber, match=f"The gate g names {name}, which is not a number"):
            measure_gates(document, {"g": Gate(number=name, min=0)})
    with pytest.raises(UnknownNumber, match=r"did you mean a\.b\.c\.value\?"):
        measure_gates(document, {"g": Gate(number="a.b.c.valu", min=0)})


@pytest.mark.parametrize(
    ("number", "value", "words", "limit"),
    [
        (GENERAL, 0.662169, "+66.2\u202f%", "at most +5.0\u202f%"),
        (GENERAL, 0.05004, "+5.0040\u202f%", "at most +5.0\u202f%"),
        (EXACT, 0.662169, "0.662169", "at most 0.05"),
        (EXACT, None, "not measured", "at most 0.05"),
    ],
)
def test_relative_changes_and_their_limits_are_in_per_cent(
    number: str, value: float | None, words: str, limit: str
) -> None:
    gate = GateResult("g", number, value, None, 0.05, False)
    assert (gate.measured, gate.limit) == (words, limit)


def test_a_relative_change_that_a_measure_cannot_have_is_not_measured(make_inputs: Make, tmp_path: Path) -> None:
    """A document of zero bits: nothing is relative to it, and no gate names an unknown number."""
    files = make_inputs()
    for path in files["evaluations"]:
        document = json.loads(path.read_text())
        if "corpora" in document["result"]:
            document["result"]["corpora"]["general"]["documents"][0]["bits"] = 0.0
        path.write_text(json.dumps(document))
    document = json.loads((write(files, tmp_path / "report") / "report.json").read_text())
    assert "relative_changes" not in document["measures"]["bits_per_byte.general"]
    [gate] = document["gates"]
    assert (gate["number"], gate["value"], gate["passed"]) == (GENERAL, None, True)
    with pytest.raises(UnknownNumber):
        measure_gates(document, {"g": Gate(number=GENERAL.replace("base_to_sft", "base_to_x"), max=0)})


@pytest.mark.parametrize("limits", [{}, {"min": 2, "max": 1}])
def test_a_gate_that_cannot_work_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Gate(number="x", **limits)


def test_the_gate_on_general_text_cannot_be_replaced() -> None:
    with pytest.raises(ValidationError, match="gates has the name of the gate on general text"):
        Report.model_validate({"gates": {GENERAL_TEXT: {"number": EXACT, "min": 0}}})


def test_failed_gates_turn_the_report_red_and_stop_the_run_if_asked(make_inputs: Make, tmp_path: Path) -> None:
    gates = {
        "exact answers": {"number": EXACT, "min": 0.999},
        "many rows": {"number": "measures.rtl.exact_match.units", "min": 100},
    }
    damaged = {**GOOD, "sft": {**GOOD["sft"], "general": 3.6}}
    folder = write(make_inputs(damaged, gates=gates), tmp_path / "report")
    document = json.loads((folder / "report.json").read_text())
    assert [(gate["gate"], gate["passed"]) for gate in document["gates"]] == [
        ("general text", False),
        ("exact answers", False),
        ("many rows", True),
    ]
    assert document["gates"][0]["number"] == GENERAL and document["gates"][0]["max"] == 0.05
    assert document["summary"]["headline"].endswith("checks failed; 1 of 2 gates failed")
    page = (folder / "report.html").read_text()
    assert "1 of 2 gates failed</h1>" in page and page.count("<strong>Gate: exact answers<") == 1
    assert page.count("✗ Gate general text failed: +") == 1
    table = page[page.index(">Gates</a></h2>") : page.index(">Provenance</a></h2>")]
    assert table.count(">failed</td>") == 2 and table.count(">passed</td>") == 1 and "at least 0.999" in table
    main = runpy.run_path(str(ROOT / "scripts" / "eval_gates.py"))["main"].__wrapped__
    main(EvalGatesJob(on_failure="report"), folder / "report.json", tmp_path / "gates.json")
    assert json.loads((tmp_path / "gates.json").read_text())["gates"] == document["gates"]
    with pytest.raises(
        EvaluationGateFailed,
        match=f"general text: {GENERAL} is .[0-9.]*\u202f%, the limit is at most .5.0\u202f%; exact",
    ):
        main(EvalGatesJob(on_failure="stop"), folder / "report.json", tmp_path / "never.json")
    assert not (tmp_path / "never.json").exists()


def test_passed_gates_are_shown_and_change_no_headline(make_inputs: Make, tmp_path: Path) -> None:
    folder = write(make_inputs(), tmp_path / "report")
    document = json.loads((folder / "report.json").read_text())
    assert [(gate["gate"], gate["passed"]) for gate in document["gates"]] == [("general text", True)]
    assert "gates failed" not in document["summary"]["headline"]
    assert ">Gates</a></h2>" in (folder / "report.html").read_text()
    main = runpy.run_path(str(ROOT / "scripts" / "eval_gates.py"))["main"].__wrapped__
    main(EvalGatesJob(on_failure="stop"), folder / "report.json", tmp_path / "gates.json")


def test_a_report_that_judges_no_general_text_has_no_gate_on_it(make_inputs: Make, tmp_path: Path) -> None:
    folder = write(make_inputs(models={"base": "base"}, adaptation={"pretrained": None, "tuned": None}), tmp_path / "r")
    assert json.loads((folder / "report.json").read_text())["gates"] == []
    assert ">Gates</a></h2>" not in (folder / "report.html").read_text()
