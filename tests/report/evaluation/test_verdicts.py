"""The sentences of the summary follow the numbers in both directions."""

from collections.abc import Mapping
from itertools import combinations

import pytest

from tapeout.evals.section import Adapted, Comparison, Estimate, Evidence, Measure, Outcome, Verdict
from tapeout.evals.tasks import bits_per_byte, instruction_answers
from tapeout.evals.wording import number, percent, points
from tapeout.report.evaluation.report import headline
from tapeout.report.page.render import count, listed, size

pytestmark = pytest.mark.environment("data")


def comparison(values: Mapping[str, float], spread: float) -> Comparison:
    """Return a comparison whose changes have intervals of ``spread`` on both sides."""
    steps = list(combinations(values, 2))
    changes = {(a, b): values[b] - values[a] for a, b in steps}
    relative = {(a, b): values[b] / values[a] - 1 for a, b in steps if values[a]}
    return Comparison(
        measure=Measure("measure", "Measure", "rows", "corpus/domain", lower_is_better=True, total=160),
        units=160,
        values={model: Estimate(value, value - spread, value + spread) for model, value in values.items()},
        changes={step: Estimate(change, change - spread, change + spread) for step, change in changes.items()},
        relative={step: Estimate(change, change - spread, change + spread) for step, change in relative.items()},
    )


def evidence(comparisons: Mapping[str, Comparison], tolerance: float = 0.05) -> Evidence[object]:
    return Evidence({}, comparisons, Adapted("base", "dapt", "sft"), 0.95, tolerance)


def text_verdicts(dapt: float, sft: float, tolerance: float = 0.05, spread: float = 0.02) -> list[Verdict]:
    """Return the verdicts on domain and general text, on the same numbers."""
    both = comparison({"base": 2.0, "dapt": dapt, "sft": sft}, spread)
    found = evidence({"bits_per_byte.domain": both, "bits_per_byte.general": both}, tolerance)
    return bits_per_byte._verdicts(found)


@pytest.mark.parametrize(
    ("dapt", "outcome", "begin"),
    [
        (1.8, "good", "Yes, the model predicts chip-design text better: continued pretraining lowered"),
        (2.0, "open", "The model may or may not predict chip-design text better"),
        (2.2, "bad", "No, the model does not predict chip-design text better: continued pretraining raised"),
    ],
)
def test_domain(dapt: float, outcome: str, begin: str) -> None:
    verdict, _ = text_verdicts(dapt, dapt)
    assert verdict.outcome == outcome
    assert verdict.sentence.startswith(begin)
    assert f"from 2.000 to {dapt:.3f}" in verdict.sentence


@pytest.mark.parametrize(
    ("dapt", "outcome", "begin"),
    [
        (2.02, "good", "General text is kept"),
        (1.5, "good", "General text is kept"),
        (2.1, "open", "General text may or may not be kept"),
        (2.3, "bad", "General text was partly forgotten"),
    ],
)
def test_general(dapt: float, outcome: str, begin: str) -> None:
    _, verdict = text_verdicts(dapt, 2.75)
    assert verdict.outcome == outcome
    assert verdict.sentence.startswith(begin)
    assert "after fine-tuning they are 2.750" in verdict.sentence


def test_general_limit_is_a_parameter() -> None:
    outcomes = [text_verdicts(2.08, 2.0, tolerance, 0.001)[1].outcome for tolerance in (0.01, 0.05)]
    assert outcomes == ["bad", "good"]


@pytest.mark.parametrize(
    ("base", "dapt", "sft", "spread", "outcome", "begin"),
    [
        (0.0, 0.02, 0.7, 0.05, "good", "Yes, instructions are followed"),
        (0.0, 0.02, 0.3, 0.05, "part", "In part, instructions are followed"),
        (0.0, 0.02, 0.05, 0.05, "open", "Instructions may or may not be followed better"),
        (0.0, 0.2, 0.7, 0.6, "open", "Instructions may or may not be followed better"),
        (0.0, 0.0, 0.0, 0.0, "bad", "No, instructions are not followed better"),
        (0.0, 0.5, 0.3, 0.05, "bad", "No, instructions are not followed better"),
    ],
)
def test_instructions(base: float, dapt: float, sft: float, spread: float, outcome: str, begin: str) -> None:
    exact = comparison({"base": base, "dapt": dapt, "sft": sft}, spread)
    [verdict] = instruction_answers._verdicts(evidence({}), exact)
    assert verdict.outcome == outcome
    assert verdict.sentence.startswith(begin)
    assert f"answers {percent(sft)} of 160 held-out questions" in verdict.sentence


def test_headline() -> None:
    def line(*outcomes: Outcome) -> str:
        return headline([Verdict("", outcome, "") for outcome in outcomes])

    assert line("good", "good", "good") == "The adaptation worked"
    assert line("good", "bad", "good") == line("good", "good", "part") == "The adaptation worked in part"
    assert line("good", "good", "open") == "The adaptation worked in part"
    assert line("bad", "bad", "open") == "The adaptation did not work"
    assert line("open", "open", "open") == "The data does not show that the adaptation worked"


def test_wording() -> None:
    assert number(-1.25, 1) in ("−1.2", "−1.3")
    assert number(-0.0004) == "0.000" == number(0.0004, signed=True)
    assert percent(0.1234, signed=True) == "+12.3\u202f%"
    assert points(-0.05) == "−5.0\u202fpoints"
    assert size(999) == "999\u202fB" and size(1536) == "1.5\u202fkB" and size(3 * 2**20) == "3.1\u202fMB"
    assert listed(["a", "b", "c"]) == "a, b and c" and listed(["a"]) == "a"
    assert count(1234567) == "1\u202f234\u202f567"
