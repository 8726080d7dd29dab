"""Sentences that follow from the numbers: they turn when the numbers turn."""

from dataclasses import dataclass
from typing import Literal

from tapeout.config.report import Report
from tapeout.evals.bootstrap import Estimate
from tapeout.report.evaluation.figures import STEPS, Figures, Measure
from tapeout.report.page.wording import MODEL_NAMES, number, percent, points

Outcome = Literal["good", "part", "open", "bad"]

MOSTLY = 0.5
"""Share of exact answers from which instructions count as followed, not only followed in part."""


@dataclass(frozen=True)
class Verdict:
    """An answer to one question.

    Attributes:
        outcome: ``good`` yes, ``part`` in part, ``open`` the interval allows both, ``bad`` no.
        sentence: the answer with its numbers.
    """

    outcome: Outcome
    sentence: str


@dataclass(frozen=True)
class Change:
    """One line of the table of changes."""

    measure: str
    step: str
    change: str
    interval: str
    verdict: str
    outcome: Outcome


def domain(measure: Measure, params: Report) -> Verdict:
    """Did continued pretraining make the model better at domain text?"""
    change = measure.relative["base", "dapt"]
    outcome = _outcome(change, lower_is_better=True)
    begin = {
        "good": "Yes, the model predicts chip-design text better: continued pretraining lowered",
        "open": "It is open whether the model predicts chip-design text better: continued pretraining moved",
        "bad": "No, the model does not predict chip-design text better: continued pretraining raised",
    }[outcome]
    return Verdict(outcome, f"{begin} bits per byte on held-out documents {_moved(measure, change, params)}.")


def general(measure: Measure, params: Report) -> Verdict:
    """Did continued pretraining keep what the model knew of general text?"""
    change = measure.relative["base", "dapt"]
    limit = percent(params.general_tolerance)
    outcome: Outcome
    if change.high <= params.general_tolerance:
        outcome, begin = "good", f"General text is kept, within the limit of {limit}"
    elif change.low > params.general_tolerance:
        outcome, begin = "bad", f"General text was partly forgotten, beyond the limit of {limit}"
    else:
        outcome, begin = "open", f"It is open whether general text is kept within the limit of {limit}"
    sft = number(measure.values["sft"].value)
    moved = _moved(measure, change, params)
    return Verdict(outcome, f"{begin}: bits per byte went {moved}, and stand at {sft} after fine-tuning.")


def instructions(measure: Measure, params: Report) -> Verdict:
    """Does the fine-tuned model answer questions that the others cannot?"""
    values = {model: estimate.value for model, estimate in measure.values.items()}
    gains = [measure.changes[before, "sft"] for before in ("base", "dapt")]
    outcome: Outcome
    if min(gain.low for gain in gains) > 0:
        share = values["sft"]
        outcome, begin = ("good", "Yes") if share >= MOSTLY else ("part", "In part")
        begin += ", instructions are followed"
    elif min(gain.value for gain in gains) > 0:
        outcome, begin = "open", "It is open whether instructions are followed better"
    else:
        outcome, begin = "bad", "No, instructions are not followed better"
    least = min(gains, key=lambda gain: gain.value)
    return Verdict(
        outcome,
        f"{begin}: the fine-tuned model answers {percent(values['sft'])} of {measure.units} held-out questions "
        f"exactly, the model before it {percent(values['dapt'])} and the base model {percent(values['base'])} (smaller "
        f"gain {points(least.value)}; {_interval_words(params)} {points(least.low, unit=False)} to "
        f"{points(least.high)}).",
    )


def headline(verdicts: list[Verdict]) -> str:
    """One line over the summary."""
    outcomes = [verdict.outcome for verdict in verdicts]
    if all(outcome == "good" for outcome in outcomes):
        return "The adaptation worked"
    if not any(outcome in ("good", "part") for outcome in outcomes):
        return "The adaptation did not work" if "bad" in outcomes else "The adaptation is not shown to work"
    return "The adaptation worked in part"


def changes(figures: Figures) -> list[Change]:
    """A verdict on each difference between two models."""
    lines = []
    for name, measure in figures.bits_per_byte.items():
        lines += [_line(f"Bits per byte, {name} text", step, measure.relative[step], True) for step in STEPS]
    answers = figures.answer_bits
    lines += [_line("Bits per byte, expected answers", step, answers.relative[step], True) for step in STEPS]
    lines += [_line("Exact match", step, figures.exact.changes[step], False) for step in STEPS]
    lines += [_line("ROUGE-L", step, figures.rouge.changes[step], False) for step in STEPS]
    return lines


def _line(measure: str, step: tuple[str, str], change: Estimate, lower_is_better: bool) -> Change:
    outcome = _outcome(change, lower_is_better)
    words = {"good": "better", "open": "no clear difference", "bad": "worse"}

    if lower_is_better:
        written = [percent(value, signed=True) for value in (change.value, change.low, change.high)]
    else:
        written = [points(change.value), points(change.low, unit=False), points(change.high)]
    return Change(
        measure=measure,
        step=f"{MODEL_NAMES[step[0]]} \N{RIGHTWARDS ARROW} {MODEL_NAMES[step[1]]}",
        change=written[0],
        interval=f"{written[1]} to {written[2]}",
        verdict=words[outcome],
        outcome=outcome,
    )


def _outcome(change: Estimate, lower_is_better: bool) -> Outcome:
    """Good or bad only if the whole interval is on that side of zero."""
    if change.low <= 0 <= change.high:
        return "open"
    return "good" if (change.high < 0) == lower_is_better else "bad"


def _moved(measure: Measure, change: Estimate, params: Report) -> str:
    before, after = (number(measure.values[model].value) for model in ("base", "dapt"))
    return (
        f"from {before} to {after} ({percent(change.value, signed=True)}; {_interval_words(params)} "
        f"{percent(change.low, signed=True)} to {percent(change.high, signed=True)})"
    )


def _interval_words(params: Report) -> str:
    return f"{percent(params.confidence, 0)} interval"
