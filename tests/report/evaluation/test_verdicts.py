"""The sentences of the summary follow the numbers in both directions."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations, product
from typing import Any, get_args

import pytest

from tapeout.evals.section import Adapted, Comparison, Difference, Evidence, Measure, Outcome, Value, Verdict
from tapeout.evals.tasks import bits_per_byte, instruction_answers
from tapeout.evals.wording import by_difficulty, number, percent, points
from tapeout.report.evaluation.gates import GateResult
from tapeout.report.evaluation.summary import gpu_time, headline
from tapeout.report.page.render import count, listed, size

pytestmark = pytest.mark.environment("data")


def comparison(values: Mapping[str, float], spread: float, units: int = 160, lower: bool = True) -> Comparison:
    """Return a comparison whose changes have intervals of ``spread`` on both sides."""
    steps = list(combinations(values, 2))

    def change(value: float) -> Difference:
        """Return a change that is clear if its interval is on one side of zero."""
        clear = abs(value) > spread
        p = 0.001 if clear else 0.5
        return Difference(value, value - spread, value + spread, "permutation", p, p, clear, 0.1, "observed")

    changes = {(a, b): values[b] - values[a] for a, b in steps}
    relative = {(a, b): values[b] / values[a] - 1 for a, b in steps if values[a]}
    return Comparison(
        measure=Measure("measure", "Measure", "rows", "corpus/domain", lower_is_better=lower, total=160),
        units=units,
        values={model: Value(value, value - spread, value + spread, "bootstrap") for model, value in values.items()},
        changes={step: change(value) for step, value in changes.items()},
        relative={step: change(value) for step, value in relative.items()},
    )


def evidence(
    comparisons: Mapping[str, Comparison], tolerance: float = 0.05, tuned: str | None = "sft", data: str = ""
) -> Evidence[Any]:
    adapted = Adapted("base", "dapt", tuned, exported=tuned)
    return Evidence(instruction_answers.Options(data=data), {}, comparisons, adapted, 0.95, tolerance)


def text_verdicts(
    dapt: float, sft: float, tolerance: float = 0.05, spread: float = 0.02, units: int = 160, tuned: str | None = "sft"
) -> list[Verdict]:
    """Return the verdicts on domain and general text, on the same numbers."""
    both = comparison({"base": 2.0, "dapt": dapt, "sft": sft}, spread, units)
    found = evidence({"bits_per_byte.domain": both, "bits_per_byte.general": both}, tolerance, tuned)
    return bits_per_byte._verdicts(found)


@pytest.mark.parametrize(
    ("dapt", "sft", "outcome", "begin"),
    [
        (1.8, 1.8, "good", "Yes, the exported model sft predicts chip-design text better: "),
        (1.2, 1.7, "part", "In part: the exported model sft predicts chip-design text better than base, but worse "),
        (1.5, 2.0, "open", "It is open whether the exported model sft predicts chip-design text better: "),
        (1.5, 2.3, "bad", "No, the exported model sft does not predict chip-design text better: "),
    ],
)
def test_domain_text_is_judged_on_the_shipped_model(dapt: float, sft: float, outcome: str, begin: str) -> None:
    verdict, _ = text_verdicts(dapt, sft)
    assert verdict.outcome == outcome and verdict.sentence.startswith(begin)
    assert f"from 2.000 (base) to {sft:.3f} (sft), by" in verdict.sentence
    alone = f"after continued pretraining alone {dapt:.3f} (dapt, {percent(dapt / 2 - 1, signed=True)})"
    assert alone in verdict.sentence


@pytest.mark.parametrize(
    ("dapt", "sft", "outcome", "begin"),
    [
        (2.02, 2.02, "good", "Yes, the exported model sft keeps general text"),
        (2.3, 1.5, "good", "Yes, the exported model sft keeps general text"),
        (2.02, 2.1, "open", "It is open whether the exported model sft keeps general text"),
        (2.02, 3.3, "bad", "No, the exported model sft has partly forgotten general text"),
    ],
)
def test_general_text_is_judged_on_the_shipped_model(dapt: float, sft: float, outcome: str, begin: str) -> None:
    """The damage of fine-tuning shows although continued pretraining alone is within the limit."""
    _, verdict = text_verdicts(dapt, sft)
    assert verdict.outcome == outcome and verdict.sentence.startswith(begin)
    assert f"to {sft:.3f} (sft)" in verdict.sentence and f"{dapt:.3f} (dapt" in verdict.sentence


def test_without_fine_tuning_the_pretrained_model_is_judged() -> None:
    domain, general = text_verdicts(1.5, 9.0, tuned=None)
    assert (domain.outcome, general.outcome) == ("good", "good")
    assert domain.sentence.startswith("Yes, the model dapt predicts") and "alone" not in domain.sentence


def test_few_units_give_no_verdict() -> None:
    for sft, values in ((1.2, (0.0, 0.0, 0.9)), (9.0, (0.5, 0.5, 0.1))):
        verdicts = text_verdicts(1.5, sft, spread=0.0, units=9)
        exact = comparison(dict(zip(("base", "dapt", "sft"), values, strict=True)), 0.0, units=9, lower=False)
        verdicts += instruction_answers._verdicts(
            evidence({"rtl.exact_match": exact}, data="instructions/rtl"), "exact_match"
        )
        assert [verdict.outcome for verdict in verdicts] == ["open"] * 3
        assert all("9 rows are too few for a verdict." in verdict.sentence for verdict in verdicts)


def test_general_limit_is_a_parameter() -> None:
    outcomes = [text_verdicts(2.0, 2.08, tolerance, 0.001)[1].outcome for tolerance in (0.01, 0.05)]
    assert outcomes == ["bad", "good"]


@pytest.mark.parametrize("measure", ["exact_match", "rouge_l"])
@pytest.mark.parametrize(
    ("base", "dapt", "sft", "spread", "outcome", "begin"),
    [
        (0.0, 0.02, 0.7, 0.05, "good", "Yes, instructions are followed"),
        (0.0, 0.02, 0.3, 0.05, "part", "In part, instructions are followed"),
        (0.0, 0.02, 0.05, 0.05, "open", "It is open whether instructions are followed better"),
        (0.0, 0.2, 0.7, 0.6, "open", "It is open whether instructions are followed better"),
        (0.0, 0.0, 0.0, 0.0, "open", "It is open whether instructions are followed better"),
        (0.0, 0.401, 0.4, 0.05, "open", "It is open whether instructions are followed better"),
        (0.0, 0.5, 0.3, 0.05, "bad", "No, instructions are not followed better"),
    ],
)
def test_instructions(
    measure: str, base: float, dapt: float, sft: float, spread: float, outcome: str, begin: str
) -> None:
    scores = comparison({"base": base, "dapt": dapt, "sft": sft}, spread, lower=False)
    found = evidence({f"rtl.{measure}": scores}, data="instructions/rtl")
    [verdict] = instruction_answers._verdicts(found, measure)
    assert (verdict.question, verdict.outcome) == ("Instructions: rtl", outcome)
    assert verdict.sentence.startswith(begin)
    assert "the exported model sft" in verdict.sentence and f"{percent(sft)} of" in verdict.sentence


def test_headline() -> None:
    def line(*outcomes: Outcome) -> str:
        return headline([Verdict(str(number), outcome, "", ()) for number, outcome in enumerate(outcomes)])

    assert line("good", "good", "good") == "The adaptation worked"
    assert line("good", "good", "part") == "The adaptation worked in part"
    assert line("good", "bad", "good") == "The adaptation worked in part; 1 of 3 checks failed"
    assert line("good", "good", "open") == "The adaptation worked in part"
    assert line("bad", "bad", "open") == "The adaptation did not work"
    assert line("open", "open", "open") == "The data does not show that the adaptation worked"


def test_a_gate_counts_only_where_the_check_of_its_name_did_not_fail() -> None:
    def line(outcome: Outcome, *gates: str) -> str:
        failed = [GateResult(gate, "a.b", 2.0, None, 1.0, False) for gate in gates]
        return headline([Verdict("Domain text", "good", "", ()), Verdict("General text", outcome, "", ())], failed)

    assert line("bad", "general text") == "The adaptation worked in part; 1 of 2 checks failed"
    assert (
        line("bad", "general text", "mine")
        == "The adaptation worked in part; 1 of 2 checks failed; 1 of 1 gates failed"
    )
    assert line("open", "general text", "mine") == "The adaptation worked in part; 2 of 2 gates failed"


@pytest.mark.parametrize(
    ("dapt", "sft", "reason"), [(1.2, 1.7, "dapt −40.0\u202f%, dapt → sft +41.7\u202f%"), (1.8, 1.8, "")]
)
def test_the_first_screen_says_that_fine_tuning_lost_part_of_the_gain(dapt: float, sft: float, reason: str) -> None:
    both = comparison({"base": 2.0, "dapt": dapt, "sft": sft}, 0.02)
    found = bits_per_byte._decisive(evidence({"bits_per_byte.domain": both, "bits_per_byte.general": both}))
    domain = found[0]
    assert domain.reason.endswith(reason) and bool(domain.reason) == bool(reason)
    assert ("(dapt alone 40.0\u202f% better; sft lost part of this gain)" in domain.clause) == bool(reason)


def test_exact_answers_that_are_missing_do_not_hide_a_rise_of_rouge() -> None:
    zero = {"base": 0.0, "dapt": 0.0, "sft": 0.0}
    part = replace(comparison(zero, 0.01, lower=False), measure=Measure("p", "list_ports", "rows", "d", False, 160))
    comparisons = {
        "rtl.exact_match": replace(
            part, measure=Measure("rtl.exact_match", "rtl: exact match", "rows", "d", False, 160)
        ),
        "rtl.exact_match.list_ports": part,
        "rtl.rouge_l.list_ports": comparison({"base": 0.0, "dapt": 0.0, "sft": 0.2}, 0.01, lower=False),
    }
    [suggestion] = instruction_answers._suggestions(evidence(comparisons, data="instructions/rtl"), "exact_match")
    wanted = "rtl: no exact answers yet in 1 of 1 categories (list ports); ROUGE-L rose in all of them"
    assert suggestion.finding == wanted


@pytest.mark.parametrize("kept", get_args(Outcome))
@pytest.mark.parametrize("gains", list(product(get_args(Outcome), repeat=2)))
def test_only_a_gain_makes_an_adaptation_work(kept: Outcome, gains: tuple[Outcome, Outcome]) -> None:
    verdicts = [Verdict("kept", kept, "", (), is_gain=False), *(Verdict("gain", gain, "", ()) for gain in gains)]
    line = headline(verdicts)
    assert line.startswith("The adaptation worked") == bool({"good", "part"} & set(gains))
    assert (line == "The adaptation worked") == ({kept, *gains} == {"good"})
    assert headline(verdicts, (), ["A", "B"]) == f"{line}; too few clean test units: A and B"


def test_wording() -> None:
    assert number(-1.25, 1) in ("−1.2", "−1.3")
    assert number(-0.0004) == "0.000" == number(0.0004, signed=True)
    assert percent(0.1234, signed=True) == "+12.3\u202f%"
    assert points(-0.05) == "−5.0\u202fpoints"
    assert size(999) == "999\u202fB" and size(1536) == "1.5\u202fkB" and size(3 * 2**20) == "3.1\u202fMB"
    assert listed(["a", "b", "c"]) == "a, b and c" and listed(["a"]) == "a"
    assert by_difficulty(["hard", "expert", "easy", "medium"]) == ["easy", "medium", "hard", "expert"]
    assert [gpu_time(hours) for hours in (0.0000158, 0.05, 1.5)] == ["0.0569 seconds", "3 minutes", "1.5 hours"]
    assert count(1234567) == "1\u202f234\u202f567"
