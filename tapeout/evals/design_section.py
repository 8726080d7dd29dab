"""Section of the report about designs: the ladder, pass@k, categories, difficulties, reasons and how it was judged."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from tapeout.evals import design_summary, design_syntheses
from tapeout.evals.designs import Designs
from tapeout.evals.section import Evidence, Method, Section, Table, TableRow
from tapeout.evals.wording import by_difficulty
from tapeout.simulation.ladder import REASONS, RUNGS, Rung

LISTED = 12
"""Names that a note lists; report.json has all of them."""


def rung_measure(rung: Rung, sampled: bool = False) -> str:
    """Return the name of a step's measure, without that of the problem set."""
    return f"sampled_{rung}" if sampled else rung


def describe(evidence: Evidence[Designs]) -> Section:
    """Describe the section."""
    options, results = evidence.options, evidence.results
    name = options.problems.removeprefix("problems/")
    first = next(iter(results.values()))
    sampled = options.samples > 0
    groups = ("Greedy, %", f"Mean of {options.samples} samples, %") if sampled else ("Greedy, %",)
    ladder = [
        TableRow(
            design_summary.LABELS[rung],
            [f"{name}.{rung_measure(rung)}", *([f"{name}.{rung_measure(rung, sampled=True)}"] if sampled else [])],
        )
        for rung in RUNGS[1:]
    ]
    found = [reason for reason in REASONS if any(_reasons(result)[reason] for result in results.values())]
    further = [
        TableRow("passes, of all problems, unusable ones included", [f"{name}.passes_of_all"]),
        *(TableRow(f"pass@{k}, n = {options.samples}", [f"{name}.pass_at_{k}"]) for k in options.pass_at),
    ]
    tables = [
        Table("Step", ladder, groups, notes=_notes(options, first)),
        *design_syntheses.table(name, results, groups, LISTED),
        Table("Measure, %", further, notes=_problem_notes(first)),
        Table(
            "Category",
            [
                TableRow(category, [f"{name}.{rung}.{category}" for rung in ("parses", "passes")])
                for category in sorted({design.category for design in first.usable})
            ],
            groups=("Parses, greedy, %", "Passes, greedy, %"),
        ),
        Table(
            "Difficulty",
            [
                TableRow(difficulty, [f"{name}.passes_by_difficulty.{difficulty}"])
                for difficulty in by_difficulty({design.difficulty for design in first.usable})
            ],
            groups=("Passes, greedy, %",),
        ),
    ]
    if found:
        rows = [TableRow(f"{reason}: {REASONS[reason]}", [f"{name}.reason.{reason}"]) for reason in found]
        tables.append(Table("Reason, share of all answers in %", rows))
    return Section(
        title=f"Verilog generation: {name}",
        tables=tables,
        verdicts=design_summary.verdicts(name, evidence),
        decisive=design_summary.decisive(name, evidence),
        suggestions=design_summary.suggestions(name, evidence),
        plots=[design_summary.ladder(name, evidence)],
        methods=METHODS,
        facts={f"{name}.designs": _facts(options, results)},
    )


def _notes(options: Any, first: Designs) -> list[str]:
    simulator = first.simulator
    digest = f" (SHA-256 of the program {simulator.digest[:16]}…)" if simulator.digest else ""
    notes = [
        f"Judged with {simulator.name} {simulator.version}{digest}, options {' '.join(simulator.flags)}. Generated "
        f"programs: {first.isolation}. Extraction rule {first.extraction_rule[:16]}….",
        f"Greedy answers and samples are separate. Samples: n = {options.samples}, temperature "
        f"{options.temperature:g}, top-p {options.top_p:g}, seed {options.seed} with prompt and number; at most "
        f"{options.max_new_tokens} tokens.",
    ]
    if first.second is None:
        return [*notes, "No second simulator judged the problems."]
    second = f"{first.second.name} {first.second.version}"
    names = [f"{one.problem}/{one.design}" for one in first.disagreements]
    agreement = f"disagrees on {len(names)}: {_listed(names)}" if names else "agrees on all of them"
    return [*notes, f"{second} judged {first.compared} golden solutions and mutants, and {agreement}."]


def _problem_notes(first: Designs) -> list[str]:
    unusable = [f"{design.name}: {design.unusable}" for design in first.designs if design.unusable]
    usable = f"{len(first.usable)} of {len(first.designs)} problems are usable: their golden solution passes."
    missed = (
        f"Test benches do not notice {len(first.survivors)} of {first.mutants} mutants: {_listed(first.survivors)}."
        if first.survivors
        else f"Test benches notice all {first.mutants} mutants."
    )
    return [usable, *([f"Unusable: {_listed(unusable)}"] if unusable else []), missed]


def _listed(names: list[str]) -> str:
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + rest


def _reasons(result: Designs) -> Counter[str]:
    judgements = [attempt.judgement for design in result.usable for attempt in design.attempts]
    return Counter(judgement.reason for judgement in judgements if judgement.reason is not None)


def _facts(options: Any, results: Mapping[str, Designs]) -> dict[str, Any]:
    first = next(iter(results.values()))
    return {
        "simulator": first.simulator.model_dump(mode="json"),
        "second_simulator": first.second.model_dump(mode="json") if first.second else None,
        "compared": first.compared,
        "disagreements": [one.model_dump(mode="json") for one in first.disagreements],
        "isolation": first.isolation,
        "extraction_rule": first.extraction_rule,
        "problems": len(first.designs),
        "unusable": {design.name: design.unusable for design in first.designs if design.unusable},
        "mutants": first.mutants,
        "survivors": first.survivors,
        "sampling": {
            name: getattr(options, name) for name in ("samples", "temperature", "top_p", "seed", "max_new_tokens")
        },
        "reasons": {model: dict(sorted(_reasons(result).items())) for model, result in results.items()},
        **design_syntheses.facts(results),
    }


METHODS = (
    Method(
        "Ladder of designs",
        "An answer is extracted if it contains a module by the frozen extraction rule, parses if its text is "
        "syntactically correct, compiles (elaborates) if all names, types and widths resolve below the module that "
        "was asked for, simulates if the test bench connects to it and ends by itself, and passes if the test bench "
        "reports success exactly once and no failure. Each answer that does not pass has exactly one reason, "
        "from a closed list.",
    ),
    design_syntheses.METHOD,
    Method(
        "pass@k",
        "Probability that at least one of k answers passes, estimated without bias from n samples of which c pass, and "
        "averaged over the problems. All samples have the same temperature; the greedy answer is not one of them.",
        "pass@k = 1 − C(n − c, k) ÷ C(n, k)",
        "Golden solutions are judged first: a problem whose golden solution does not pass is unusable, and listed.",
    ),
)
