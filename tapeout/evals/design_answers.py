"""Answers to problems of design, as the report shows them: how far each got, why, and the first wrong output."""

import re

from tapeout.evals.design_summary import LABELS
from tapeout.evals.designs import Design
from tapeout.evals.section import Answered, Mismatch
from tapeout.simulation.ladder import REASONS, Judgement

FAILURE = re.compile(
    r"FAIL (?P<signal>\S+) is (?P<got>[0-9a-fxz]+), not (?P<expected>[0-9a-fxz]+), at (?P<time>\d+)", re.IGNORECASE
)
"""First failure as test benches of ``config/rtl_problems`` print it; other formats have the message alone."""


def answered(design: Design) -> Answered:
    """Return the greedy answer to a usable problem; a near miss is a design that compiles."""
    attempt = design.attempts[0]
    judgement = attempt.judgement
    facts = {"highest step": LABELS.get(judgement.rung, judgement.rung), "tokens": f"{attempt.tokens}"}
    if design.sampled:
        facts["samples that pass"] = f"{sum(one.passes for one in design.sampled)} of {len(design.sampled)}"
    if attempt.synthesis is not None:
        found = attempt.synthesis
        facts["synthesis"] = found.reason or "synthesizes"
        facts["equal to the golden solution"] = ", ".join(filter(None, (found.equivalence, found.undecided)))
        facts["first message of synthesis"] = found.detail
    return Answered(
        asked=design.prompt,
        expected=design.golden,
        answer=attempt.answer or "",
        kind="exact" if judgement.passes else "near miss" if judgement.reaches("elaborates") else "failure",
        category=design.category,
        source=f"problem {design.name}, {design.difficulty}",
        label=judgement.reason or "passes",
        verdict=REASONS[judgement.reason] if judgement.reason else "",
        message=judgement.detail,
        code=attempt.extracted,
        mismatch=mismatch_of(judgement),
        facts={name: text for name, text in facts.items() if text},
    )


def mismatch_of(judgement: Judgement) -> Mismatch | None:
    """Return the first wrong output that a test bench reported; None if its message has another form."""
    found = FAILURE.search(judgement.detail)
    if found is None:
        return None
    return Mismatch(found["signal"], found["got"].lower(), found["expected"].lower(), int(found["time"]))
