"""What the report says first about designs: the ladder as a chart, the decisive numbers, and what to change."""

from collections import Counter

from tapeout.evals.advice import longer
from tapeout.evals.design_syntheses import measures_of
from tapeout.evals.designs import Designs
from tapeout.evals.section import Decisive, Evidence, Plot, Suggestion
from tapeout.evals.wording import outcome
from tapeout.simulation.ladder import REASONS, RUNGS

LABELS = {
    **{"extracted": "answers with a module", "parses": "parses", "elaborates": "compiles", "simulates": "simulates"},
    **{"passes": "passes the test bench", "synthesizes": "synthesizes", "proved": "proved equal"},
}
"""Rungs of the whole ladder, from text to proof, by the measure of a problem set."""
SHOWN = {"parses": "parses", "compiles": "elaborates", "passes": "passes"}
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
    solved = round(passes.values[step[1]].value * passes.units)
    rungs = [evidence.comparisons[f"{name}.{rung}"] for rung in SHOWN.values()]
    *lower, tone = [outcome(rung, rung.changes[step]) for rung in rungs]
    if tone == "open":
        tone = "bad" if "bad" in lower else "part" if "good" in lower else "open"
    before = round(passes.values[step[0]].value * passes.units)
    clause = f"solves {solved} of {passes.units} RTL problems ({before} before)"
    return [Decisive(f"RTL: {name}", tone, clause, {label: f"{name}.{rung}" for label, rung in SHOWN.items()})]


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
