"""The section on multiple choice: numbers by a plain computation, chance, verdicts, and the page."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from tapeout.config.report import EvalReportJob
from tapeout.evals.choice_section import below_chance, verdicts_of
from tapeout.evals.choices import MultipleChoice
from tapeout.evals.section import Adapted, Evidence
from tapeout.evals.tasks.multiple_choice import TASK, Options
from tests.report.evaluation.conftest import GOOD, choices
from tests.report.evaluation.test_verdicts import comparison

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[3]
RATES = {model: {**GOOD[model], "choice": rate} for model, rate in (("base", 0.25), ("dapt", 0.4), ("sft", 0.7))}
TASKS: dict[str, Any] = {
    "bits_per_byte": ("bits_per_byte", {}),
    "multiple_choice": ("multiple_choice", {"seeds": [1, 2]}),
}


@pytest.fixture(scope="module")
def report(make_inputs: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of three models; the base model guesses."""
    files, output = make_inputs(RATES, tasks=TASKS), tmp_path_factory.mktemp("choices") / "report"
    job = EvalReportJob.model_validate_json(files.pop("params").read_bytes())
    runpy.run_path(str(ROOT / "scripts" / "eval_report.py"))["main"].__wrapped__(job, **files, output=output)
    return output


def results() -> dict[str, MultipleChoice]:
    return {model: MultipleChoice.model_validate(choices(model, rates)) for model, rates in RATES.items()}


def test_numbers_equal_a_plain_computation(report: Path) -> None:
    numbers = json.loads((report / "report.json").read_text())
    measures = numbers["measures"]
    for model, rates in RATES.items():
        raw = choices(model, rates)["questions"]
        right = {
            row["digest"]: fmean(
                attempt["log_likelihoods"].index(max(attempt["log_likelihoods"])) == row["question"]["answer"]
                for attempt in row["attempts"]
            )
            for row in raw
        }
        for name, wanted in (
            ("accuracy", lambda question: True),
            ("accuracy.rtl", lambda question: question["area"] == "rtl"),
            ("difficulty.hard", lambda question: question["difficulty"] == "hard"),
        ):
            found = measures[f"multiple_choice.{name}"]
            rows = [right[row["digest"]] for row in raw if wanted(row["question"])]
            value = found["models"][model]
            assert value["value"] == pytest.approx(fmean(rows), abs=1e-6) and found["units"] == len(rows)
            assert value["low"] < value["value"] < value["high"]
    facts = numbers["facts"]
    assert facts["multiple_choice.chance"] == 0.25 and facts["multiple_choice.shots"]["base"] == 3
    assert sum(facts["multiple_choice.positions"]["sft"].values()) == pytest.approx(1)
    [verdict] = [one for one in numbers["summary"]["verdicts"] if one["question"] == "Multiple choice"]
    assert verdict["outcome"] == "good" and "of 80 questions, chance 25" in verdict["sentence"]


def test_the_page_shows_chance_areas_and_sample_answers(report: Path) -> None:
    page = (report / "report.html").read_text()
    assert ">Multiple choice</a></h2>" in page and "Chance is 25.0" in page and "80 of 90 questions" not in page
    for text in ("&lt; &amp; &gt;?\nA. one\nB. two", "Because.", "Mean number of examples that fit", "base 3.0"):
        assert text in page, text


def test_values_of_one_seed_have_the_interval_of_a_fraction() -> None:
    result = results()["sft"]
    assert {measure.interval for measure, _ in TASK.measure(result, Options(seeds=(1,)))} == {"wilson"}
    assert {measure.interval for measure, _ in TASK.measure(result, Options())} == {"bootstrap"}
    letters = result.model_copy(update={"scoring": "letter"})
    names = [measure.name for measure, _ in TASK.measure(letters, Options(scoring="letter"))]
    assert names == ["multiple_choice.accuracy", "multiple_choice.difficulty"]


@pytest.mark.parametrize(
    ("base", "sft", "units", "outcome", "begin"),
    [
        (0.30, 0.50, 80, "good", "Yes, the exported model sft knows more: 30.0"),
        (0.50, 0.30, 80, "bad", "No, the exported model sft knows less: 50.0"),
        (0.40, 0.42, 80, "open", "It is open whether the exported model sft knows more: "),
        (0.20, 0.29, 80, None, ""),  # neither is above chance
        (0.30, 0.50, 9, None, ""),  # too few
    ],
)
def test_verdicts_follow_the_numbers(base: float, sft: float, units: int, outcome: str | None, begin: str) -> None:
    measured = comparison({"base": base, "dapt": base, "sft": sft}, 0.05, units, lower=False)
    adapted = Adapted("base", "dapt", "sft", exported="sft")
    evidence: Evidence[Any] = Evidence(Options(), {}, {"multiple_choice.accuracy": measured}, adapted, 0.95, 0.05)
    found = verdicts_of(evidence, 0.25)
    assert [one.outcome for one in found] == ([] if outcome is None else [outcome])
    assert all(one.sentence.startswith(begin) for one in found)


def test_models_below_chance_have_a_note_with_what_they_go_by() -> None:
    """Choices of three letters, and one of five, which is right in every fourth question and never chosen."""
    questions = choices("base", {"choice": 0.0})["questions"]
    for one in questions:
        one["question"]["choices"] = ["one", "two", "six", "seven"]
        for attempt in one["attempts"]:
            attempt["log_likelihoods"] = (
                [-1.0, -2.0, -3.0, -4.0] if one["question"]["answer"] else [-2.0, -1.0, -3.0, -4.0]
            )
    result = MultipleChoice.model_validate({"scoring": "text", "in_source": 80, "left_out": 0, "questions": questions})
    below, above = (comparison({"base": value, "sft": 0.6}, 0.05) for value in (0.0, 0.22))
    [note] = below_chance({"base": result, "sft": result}, below, 0.25)
    assert "Accuracy of base is below chance" in note
    assert "It takes the shortest choice in 100\u202f% of its attempts, and is right in 0\u202f% of these." in note
    assert below_chance({"base": result, "sft": result}, above, 0.25) == []
    letters = result.model_copy(update={"scoring": "letter"})
    [note] = below_chance({"base": letters, "sft": letters}, below, 0.25)
    assert "the letter A in 75\u202f%" in note
