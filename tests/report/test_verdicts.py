"""The summary's sentences follow the numbers in both directions."""

from collections.abc import Mapping

import pytest

from tapeout.config.report import Report
from tapeout.evals.bootstrap import Estimate
from tapeout.report.evaluation.figures import STEPS, Measure
from tapeout.report.evaluation.verdicts import Verdict, domain, general, headline, instructions
from tapeout.report.page.wording import count, listed, number, percent, points, size

pytestmark = pytest.mark.environment("data")

PARAMS = Report()


def measure(values: Mapping[str, float], spread: float) -> Measure:
    """A measure whose changes have intervals of ``spread`` on both sides."""
    changes = {(a, b): values[b] - values[a] for a, b in STEPS}
    relative = {(a, b): values[b] / values[a] - 1 for a, b in STEPS if values[a]}
    return Measure(
        name="measure",
        units=160,
        values={model: Estimate(value, value - spread, value + spread) for model, value in values.items()},
        changes={step: Estimate(each, each - spread, each + spread) for step, each in changes.items()},
        relative={step: Estimate(each, each - spread, each + spread) for step, each in relative.items()},
        behind={},
    )


@pytest.mark.parametrize(
    ("dapt", "outcome", "begin"),
    [
        (1.8, "good", "Yes, the model predicts chip-design text better: continued pretraining lowered"),
        (2.0, "open", "It is open whether the model predicts chip-design text better"),
        (2.2, "bad", "No, the model does not predict chip-design text better: continued pretraining raised"),
    ],
)
def test_domain(dapt: float, outcome: str, begin: str) -> None:
    verdict = domain(measure({"base": 2.0, "dapt": dapt, "sft": dapt}, 0.02), PARAMS)
    assert verdict.outcome == outcome
    assert verdict.sentence.startswith(begin)
    assert f"from 2.000 to {dapt:.3f}" in verdict.sentence


@pytest.mark.parametrize(
    ("dapt", "outcome", "begin"),
    [
        (2.02, "good", "General text is kept"),
        (1.5, "good", "General text is kept"),
        (2.1, "open", "It is open whether general text is kept"),
        (2.3, "bad", "General text was partly forgotten"),
    ],
)
def test_general(dapt: float, outcome: str, begin: str) -> None:
    verdict = general(measure({"base": 2.0, "dapt": dapt, "sft": 2.75}, 0.02), PARAMS)
    assert verdict.outcome == outcome
    assert verdict.sentence.startswith(begin)
    assert "stand at 2.750 after fine-tuning" in verdict.sentence


def test_general_limit_is_a_parameter() -> None:
    strict = Report(general_tolerance=0.01)
    assert general(measure({"base": 2.0, "dapt": 2.08, "sft": 2.0}, 0.001), strict).outcome == "bad"
    assert general(measure({"base": 2.0, "dapt": 2.08, "sft": 2.0}, 0.001), PARAMS).outcome == "good"


@pytest.mark.parametrize(
    ("base", "dapt", "sft", "spread", "outcome", "begin"),
    [
        (0.0, 0.02, 0.7, 0.05, "good", "Yes, instructions are followed"),
        (0.0, 0.02, 0.3, 0.05, "part", "In part, instructions are followed"),
        (0.0, 0.02, 0.05, 0.05, "open", "It is open"),
        (0.0, 0.2, 0.7, 0.6, "open", "It is open"),
        (0.0, 0.0, 0.0, 0.0, "bad", "No, instructions are not followed better"),
        (0.0, 0.5, 0.3, 0.05, "bad", "No, instructions are not followed better"),
    ],
)
def test_instructions(base: float, dapt: float, sft: float, spread: float, outcome: str, begin: str) -> None:
    verdict = instructions(measure({"base": base, "dapt": dapt, "sft": sft}, spread), PARAMS)
    assert verdict.outcome == outcome
    assert verdict.sentence.startswith(begin)
    assert f"answers {percent(sft)} of 160 held-out questions" in verdict.sentence


def test_headline() -> None:
    good, part, unknown, bad = (Verdict(outcome, "") for outcome in ("good", "part", "open", "bad"))  # type: ignore[arg-type]
    assert headline([good, good, good]) == "The adaptation worked"
    assert headline([good, bad, good]) == headline([good, good, part]) == "The adaptation worked in part"
    assert headline([good, good, unknown]) == "The adaptation worked in part"
    assert headline([bad, bad, unknown]) == "The adaptation did not work"
    assert headline([unknown, unknown, unknown]) == "The adaptation is not shown to work"


def test_wording() -> None:
    assert number(-1.25, 1) in ("−1.2", "−1.3")
    assert number(-0.0004) == "0.000" == number(0.0004, signed=True)
    assert percent(0.1234, signed=True) == "+12.3\u202f%"
    assert points(-0.05) == "−5.0\u202fpoints"
    assert size(999) == "999\u202fB" and size(1536) == "1.5\u202fkB" and size(3 * 2**20) == "3.1\u202fMB"
    assert listed(["a", "b", "c"]) == "a, b and c" and listed(["a"]) == "a"
    assert count(1234567) == "1\u202f234\u202f567"
