"""First screen of the report: the answer in a sentence, the numbers that decide it, and what the adaptation cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from tapeout.config.report import GENERAL_TEXT, EvalReportJob, PlannedTraining, Price
from tapeout.evals.section import Adapted, Comparison, Decisive, Outcome, Step, Verdict
from tapeout.evals.wording import MINUS, SPACE, interval_of, number, value_of
from tapeout.report.evaluation.contamination import Clean
from tapeout.report.evaluation.gates import GateResult
from tapeout.report.page.render import count, listed

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Line:
    """One decisive number before and after the adaptation, as text.

    Attributes:
        label: what it is, with its unit.
        values: value of the base model and of the shipped one.
        change: with an arrow up or down.
        interval: of the change; of the value after it where the models agree in every row.
        measure: name of the measure in report.json.
    """

    label: str
    values: tuple[str, str]
    change: str
    interval: str
    measure: str


@dataclass(frozen=True)
class Card:
    """Decisive numbers of one kind.

    Attributes:
        outcome: the answer.
        units: test units that the numbers are measured on.
        contaminated: warning that the training text contains too many of the units; empty if it does not.
        failed: failed gates on the numbers.
        origins: artifacts that the first number is computed from.
        reason: why the outcome is neither yes nor no, or what limits it; empty if the numbers say all.
    """

    title: str
    outcome: Outcome
    lines: tuple[Line, ...]
    units: str
    contaminated: str
    failed: tuple[GateResult, ...]
    origins: tuple[str, ...]
    reason: str

    @property
    def tone(self) -> Outcome:
        """Colour: that of the answer, or bad if a gate failed."""
        return "bad" if self.failed else self.outcome


def card_of(
    decisive: Decisive,
    comparisons: dict[str, Comparison],
    step: Step,
    gates: Sequence[GateResult],
    clean: Clean,
    origins: Sequence[str],
) -> Card:
    """Return the card of decisive numbers, with the failed gates on one of them."""
    begins = tuple(f"measures.{name}." for name in decisive.measures.values())
    failed = tuple(gate for gate in gates if not gate.passed and gate.number.startswith(begins))
    first = comparisons[next(iter(decisive.measures.values()))]
    return Card(
        title=decisive.title,
        outcome=decisive.outcome,
        lines=tuple(_line(label, comparisons[name], step) for label, name in decisive.measures.items()),
        units=f"{first.units} of {first.measure.total} {first.measure.unit}",
        contaminated=f"{clean.contaminated} of {clean.searched} {first.measure.unit} are in the training text"
        if clean.is_doubtful
        else "",
        failed=failed,
        origins=tuple(origins),
        reason=decisive.reason,
    )


def _line(label: str, comparison: Comparison, step: Step) -> Line:
    """Return a measure before and after, with its relative change, or that in points of a fraction."""
    measure, relative = comparison.measure, comparison.relative.get(step)
    if measure.percent:
        change, scale, digits, unit = comparison.changes[step], 100, 1, f"{SPACE}points"
    elif relative is not None:
        change, scale, digits, unit = relative, 100, 1, f"{SPACE}%"
    else:
        change, scale, digits, unit = comparison.changes[step], 1, 3, ""
    value, low, high = (number(scale * bound, digits, signed=True) for bound in (change.value, change.low, change.high))
    arrow = "→" if value[0] not in ("+", MINUS) else "↓" if change.value < 0 else "↑"
    before, after = (f"{value_of(comparison, model)}{f'{SPACE}%' if measure.percent else ''}" for model in step)
    shown = f"{low} to {high}{unit}"
    if (
        measure.percent and change.low == change.high
    ):  # equal in every row, so only the value's own interval has a width
        shown = f"{step[1]} {interval_of(comparison, step[1])}{SPACE}%"
    return Line(label, (before, after), f"{arrow} {value}{unit}", shown, measure.name)


def answer(decisive: Sequence[Decisive], adapted: Adapted) -> str:
    """Return a sentence that says whether the adaptation helped; empty if nothing decides it."""
    if adapted.step is None or not decisive:
        return ""
    clauses = listed([one.clause for one in decisive])
    return f"Compared with {adapted.step[0]}, {adapted.subject} {clauses}."


def headline(verdicts: Sequence[Verdict], gates: Sequence[GateResult] = (), doubtful: Sequence[str] = ()) -> str:
    """Return one line: the verdicts, how many further gates failed, and which questions have too few clean units.

    Only a gain makes an adaptation work: that nothing was lost is also true of a model that was not changed.
    The gate on general text fails for the reason of the check on it, so it counts only where that check did not fail.
    """
    outcomes = [verdict.outcome for verdict in verdicts]
    gained = any(verdict.is_gain and verdict.outcome in ("good", "part") for verdict in verdicts)
    failed = outcomes.count("bad")
    if not outcomes:
        line = "Comparison of models"
    elif not gained:
        line = "The adaptation did not work" if failed else "The data does not show that the adaptation worked"
    elif all(outcome == "good" for outcome in outcomes):
        line = "The adaptation worked"
    else:
        line = f"The adaptation worked in part{f'; {failed} of {len(outcomes)} checks failed' if failed else ''}"
    checked = any(one.question.lower() == GENERAL_TEXT and one.outcome == "bad" for one in verdicts)
    counted = [gate for gate in gates if not (checked and gate.gate == GENERAL_TEXT)]
    exceeded = sum(not gate.passed for gate in counted)
    line += f"; {exceeded} of {len(counted)} gates failed" if exceeded else ""
    return line + (f"; too few clean test units: {listed(doubtful)}" if doubtful else "")


def power(value: float) -> str:
    """Return a large number with two digits and a power of ten."""
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def gpu_time(hours: float) -> str:
    """Return a time with three digits, in the largest unit of which there is one at least; else in seconds."""
    for unit, length in (("hours", 1.0), ("minutes", 1 / 60)):
        if hours >= length:
            return f"{hours / length:.3g} {unit}"
    return f"{hours * 3600:.3g} seconds"


def price_of(trainings: Sequence[PlannedTraining], price: Price) -> float | None:
    """Return the price of the planned hours; None if the configuration states no price of one of them."""
    prices = [price.core_hour if training.gpu is None else price.gpu_hour for training in trainings]
    known = [one for one in prices if one is not None]
    if not trainings or len(known) < len(prices):
        return None
    return sum(training.hours * one for training, one in zip(trainings, known, strict=True))


def cost(job: EvalReportJob) -> str:
    """Return what the trainings of the exported model cost by plan, in sentences; empty without a training."""
    trainings = job.trainings
    if not trainings:
        return ""
    tokens, gflop = sum(one.tokens for one in trainings), sum(one.gflop for one in trainings)
    kinds = {training.gpu: 0.0 for training in trainings}
    for training in trainings:
        kinds[training.gpu] += training.hours
    hours = listed([f"{value:.2g} {f'GPU hours ({gpu})' if gpu else 'CPU hours'}" for gpu, value in kinds.items()])
    steps = listed([f"{one.section} {count(one.tokens)}" for one in trainings])
    total = price_of(trainings, job.price)
    priced = f", {total:.2f} {job.price.currency} at the price in the configuration" if total is not None else ""
    return (
        f"{count(tokens)} token positions, padding included ({steps}), {power(1e9 * gflop)} FLOP, planned "
        f"{hours}{priced}. Training only, without base and evaluation; `tapeout report` shows what was measured."
    )
