"""Synthesis and equivalence of answers that pass: counts for each model, and their part of the report."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tapeout.evals.designs import Designs
from tapeout.evals.section import Method, Table, TableRow
from tapeout.simulation.synthesis import SYNTHESIS_REASONS, UNDECIDED

SYNTHESIS_MEASURES = {
    "synthesizes": "passes and synthesizes",
    "proved": "passes and is proved equivalent to the golden solution",
}
"""Measures of this part, without the name of the problem set, and their labels."""


def measures_of(result: Designs) -> dict[str, str]:
    """Return the measures of this part; none if no golden solution was synthesized."""
    return SYNTHESIS_MEASURES if result.synthesized else {}


def counts(result: Designs) -> dict[str, int]:
    """Count all answers that pass, greedy and sampled, by what the synthesizer found."""
    syntheses = [attempt.synthesis for design in result.synthesized for attempt in design.attempts]
    judged = [one for one in syntheses if one is not None]
    outcomes = Counter(one.equivalence for one in judged if one.equivalence is not None)
    return {
        "judged": len(judged),
        "synthesizes": sum(one.synthesizes for one in judged),
        **{outcome: outcomes[outcome] for outcome in ("proved", "different", "undecided")},
    }


def differing(result: Designs) -> dict[str, str]:
    """Return where answers that pass differ from the golden solution, by ``problem#number``."""
    return {
        f"{design.name}#{attempt.number}": attempt.synthesis.detail
        for design in result.synthesized
        for attempt in design.attempts
        if attempt.synthesis is not None and attempt.synthesis.equivalence == "different"
    }


def table(name: str, results: Mapping[str, Designs], groups: tuple[str, ...], max_listed: int) -> list[Table]:
    """Return the table of a problem set; none if nothing was synthesized.

    Args:
        name: the problem set.
        results: result of each model.
        groups: headings of the columns, for greedy answers, and for sampled ones if there are any.
        max_listed: names that a note lists.
    """
    first = next(iter(results.values()))
    if first.synthesizer is None:
        return []
    prefixes = ("", "sampled_")[: len(groups)]
    rows = [
        TableRow(label, [f"{name}.{prefix}{measure}" for prefix in prefixes])
        for measure, label in measures_of(first).items()
    ]
    synthesizer = first.synthesizer
    left_out = [f"{problem} ({one.reason})" for problem, one in first.syntheses.items() if not one.synthesizes]
    open_ = [f"{problem} ({one.undecided})" for problem, one in first.syntheses.items() if one.undecided]
    notes = [
        f"{synthesizer.name} {synthesizer.version} (SHA-256 of its programs {synthesizer.digest[:16]}…) synthesizes "
        f"{len(first.synthesized)} of {len(first.syntheses)} golden solutions; only answers to these problems count.",
        *([f"Golden solutions that it does not synthesize: {_listed(left_out, max_listed)}."] if left_out else []),
        *(
            [f"Golden solutions that are not proved equal to themselves: {_listed(open_, max_listed)}."]
            if open_
            else []
        ),
        *(_note(model, result, max_listed) for model, result in results.items()),
    ]
    return [Table("Beyond the test bench", rows, groups, notes=notes)]


def _note(model: str, result: Designs, max_listed: int) -> str:
    found = counts(result)
    if not found["judged"]:
        return f"{model}: no answer passes, n = 0."
    names = _listed([f"{name} ({where})" for name, where in differing(result).items()], max_listed)
    return (
        f"{model}: n = {found['judged']} answers that pass, of which {found['synthesizes']} synthesize; "
        f"{found['proved']} are proved equivalent, {found['different']} differ, {found['undecided']} are undecided."
        + (f" They differ in: {names}." if names else "")
    )


def facts(results: Mapping[str, Designs]) -> dict[str, Any]:
    """Return what report.json has about syntheses."""
    first = next(iter(results.values()))
    reasons = {
        model: Counter(
            attempt.synthesis.reason
            for design in result.synthesized
            for attempt in design.attempts
            if attempt.synthesis is not None and attempt.synthesis.reason is not None
        )
        for model, result in results.items()
    }
    return {
        "synthesizer": first.synthesizer.model_dump(mode="json") if first.synthesizer else None,
        "golden_syntheses": {name: one.model_dump(mode="json") for name, one in first.syntheses.items()},
        "syntheses": {
            model: {**counts(result), "reasons": dict(sorted(reasons[model].items())), "differ": differing(result)}
            for model, result in results.items()
        },
    }


def _listed(names: list[str], max_listed: int) -> str:
    rest = f" and {len(names) - max_listed} more" if len(names) > max_listed else ""
    return ", ".join(names[:max_listed]) + rest


METHOD = Method(
    "Synthesis and equivalence",
    "Answers that pass are synthesized with Yosys and compared with the golden solution, after a reset of a few steps, "
    "for all inputs. Proved: in every step each output has the golden solution's value. "
    "Different: there is a step in which an output does not; the test bench does not check it, and where the prompt "
    "leaves it open, both designs may be right. Undecided: neither within the effort. These outcomes do not affect "
    "pass@k. "
    f"Reasons why a design does not synthesize: {'; '.join(SYNTHESIS_REASONS.values())}. Reasons why a comparison is "
    f"undecided: {'; '.join(UNDECIDED.values())}.",
)
