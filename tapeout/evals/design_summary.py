"""Summary of the evaluation of designs: the ladder as a chart, the decisive numbers, and suggestions."""

from collections import Counter

from tapeout.evals.advice import longer
from tapeout.evals.design_syntheses import measures_of
from tapeout.evals.designs import Designs
from tapeout.evals.section import Comparison, Decisive, Evidence, Outcome, Plot, Step, Suggestion, Verdict
from tapeout.evals.wording import outcome, too_few, why_open
from tapeout.simulation.ladder import REASONS, RUNGS

LABELS = {
    **{"extracted": "answers with a module", "parses": "parses", "elaborates": "compiles", "simulates": "simulates"},
    **{"passes": "passes", "synthesizes": "synthesizes", "proved": "proved equal"},
}
"""Rungs of the whole ladder, from text to proof, by the measure of a problem set."""
SHOWN = ("parses", "elaborates", "passes")
"""Rungs of the first screen."""
WRITTEN = {"no_code", "forbidden", "syntax_error", "wrong_module", "elaboration_error", "interface_mismatch"}
"""Reasons of answers that are no usable Verilog; most others end in the simulation of a design."""


def ladder(name: str, evidence: Evidence[Designs]) -> Plot:
    """Return the chart of greedy answers: the share of problems at each rung, for each model."""
    first = next(iter(evidence.results.values()))
    rungs = [*RUNGS[1:], *measures_of(first)]
    caption = f"Greedy answers to {len(first.usable)} problems; each step needs those before it"
    if measures_of(first):
        caption += f"; synthesis and proof: {len(first.synthesized)} problems"
    return Plot(
        name=f"ladder-{name}",
        title=f"RTL ladder: {name}",
        caption=caption,
        description=f"Share of problems of {name} whose answer reaches each rung, by model, with intervals",
        axis="problems, % (higher is better)",
        panels={LABELS[rung]: f"{name}.{rung}" for rung in rungs},
        grouped=True,
    )


def decisive(name: str, evidence: Evidence[Designs]) -> list[Decisive]:
    """Return what the first screen shows: how many designs parse, compile and pass, before and after."""
    step = evidence.adapted.step
    if step is None:
        return []
    passes = evidence.comparisons[f"{name}.passes"]
    tone = _tone(name, evidence, step)
    reason = _room(evidence, step[1])
    more = f"; {reason.partition(';')[0]}" if reason else ""
    solved, before = (_solved(passes, model) for model in reversed(step))
    clause = f"solves {solved} of {passes.units} RTL problems ({before} before{more})"
    if not reason and tone in ("open", "part"):
        reason = why_open(passes)
    measures = {LABELS[rung]: f"{name}.{rung}" for rung in SHOWN}
    return [Decisive(f"RTL: {name}", tone, clause, measures, reason)]


def verdicts(name: str, evidence: Evidence[Designs]) -> list[Verdict]:
    """Answer whether the shipped model solves more problems than the base model."""
    step = evidence.adapted.step
    if step is None:
        return []
    passes, tone = evidence.comparisons[f"{name}.passes"], _tone(name, evidence, step)
    subject = evidence.adapted.subject
    begin = {
        "good": f"Yes, {subject} solves more RTL problems",
        "part": f"In part: more answers of {subject} parse or compile, but not clearly more of them pass",
        "open": f"It is open whether {subject} solves more RTL problems",
        "bad": f"No, fewer answers of {subject} parse, compile or pass",
    }[tone]
    counts = " and ".join(f"{_solved(passes, model)} ({model})" for model in step)
    room = _room(evidence, step[1])
    sentence = f"{begin}: {counts} of {passes.units} pass{f'; {room}' if room else ''}{too_few(passes)}."
    return [Verdict(f"RTL: {name}", tone, sentence, tuple(f"{name}.{rung}" for rung in SHOWN))]


def _tone(name: str, evidence: Evidence[Designs], step: Step) -> Outcome:
    """Return the outcome of the answers that pass; where it is open, that of the steps below."""
    rungs = [evidence.comparisons[f"{name}.{rung}"] for rung in SHOWN]
    *lower, tone = [outcome(rung, rung.changes[step]) for rung in rungs]
    if tone != "open":
        return tone
    return "bad" if "bad" in lower else "part" if "good" in lower else "open"


def _solved(passes: Comparison, model: str) -> int:
    return round(passes.values[model].value * passes.units)


def _room(evidence: Evidence[Designs], model: str) -> str:
    """Return how many prompts fit the context of a model, and how many of those it solves; empty if all fit."""
    usable = evidence.results[model].usable
    fits = [design.greedy for design in usable if design.greedy.reason != "no_room"]
    if len(fits) == len(usable):
        return ""
    return f"{len(fits)} of {len(usable)} prompts fit the context; {sum(one.passes for one in fits)} of those pass"


def suggestions(name: str, evidence: Evidence[Designs]) -> list[Suggestion]:
    """Return what to change for the most frequent reason why the greedy answers of the shipped model do not pass."""
    adapted, shipped = evidence.adapted, evidence.adapted.shipped
    if shipped is None:
        return []
    usable = evidence.results[shipped].usable
    reasons = Counter(design.greedy.reason for design in usable if design.greedy.reason is not None)
    if not reasons:
        return []
    reason, count = min(reasons.items(), key=lambda item: (-item[1], item[0]))
    finding = f"{name}: {count} of {len(usable)} answers end with {reason} ({REASONS[reason]})"
    if reason == "no_room":
        text = "Choose a `base` with a longer context, or a set of `evaluation.problems` with shorter prompts."
    elif reason in WRITTEN:
        more = longer(adapted, adapted.pretrained or shipped)
        added = "add a set with designs to `instructions.train`, or " if adapted.is_instructed else ""
        text = f"Train on whole modules: {added}{more}."
    elif not adapted.is_instructed:
        return []
    else:
        text = "Train on designs that pass their test bench: add such a set to `instructions.train`."
    return [Suggestion(finding, text)]
