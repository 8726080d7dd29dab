"""The section about designs: every number that it names exists, and its notes say how answers were judged."""

from dataclasses import replace
from typing import Any

import pytest

from tapeout.config.report import PairedStatistics
from tapeout.evals.designs import Attempt, Design, Designs
from tapeout.evals.section import Adapted, Evidence, Mismatch
from tapeout.evals.tasks.verilog_generation import TASK, Options
from tapeout.report.evaluation.comparisons import compare
from tapeout.simulation.checked import Disagreement, SimulatorFacts
from tapeout.simulation.ladder import NO_CODE, Judgement
from tapeout.simulation.synthesis import Synthesis, undecided

pytestmark = pytest.mark.environment("data")
PASSES = Judgement(rung="passes", reason=None)
PARSES = Judgement(rung="parses", reason="elaboration_error", detail="no such name")
SYNTHESES = [
    Synthesis(reason=None, equivalence="proved"),
    Synthesis(reason=None, equivalence="different", detail="output full, step 3"),
    Synthesis(reason="inferred_latch"),
    None,
]
OPTIONS = Options(problems="problems/toys", samples=2, pass_at=(1, 2))


def design(number: int, judgements: list[Judgement], unusable: str = "") -> Design:
    return Design(
        name=f"problem{number}",
        digest=f"{number:064}",
        title="A problem",
        category=("fsm", "memory")[number % 2],
        difficulty="easy",
        prompt="Design it.",
        golden="module top; endmodule",
        unusable=unusable,
        attempts=[
            Attempt(
                number=n,
                prompt="",
                answer="text",
                extracted="",
                finished=True,
                tokens=1,
                judgement=judgement,
                synthesis=SYNTHESES[number] if judgement.passes else None,
            )
            for n, judgement in enumerate(judgements)
        ],
    )


def designs(greedy: Judgement) -> Designs:
    verilator = SimulatorFacts(name="Verilator", version="5.48.0", digest="ab" * 32, flags=("--timing",))
    icarus = SimulatorFacts(name="Icarus Verilog", version="11.0", digest="", flags=())
    return Designs(
        designs=[
            *(design(n, [greedy, PARSES, NO_CODE]) for n in range(4)),
            design(4, [], "The golden solution fails."),
        ],
        simulator=verilator,
        isolation="namespaces",
        extraction_rule="cd" * 32,
        second=icarus,
        compared=9,
        disagreements=[Disagreement(problem="problem1", design="golden", first=PASSES, second=NO_CODE)],
        mutants=5,
        survivors=["problem0/late"],
        synthesizer=SimulatorFacts(name="Yosys", version="0.70", digest="ef" * 32, flags=("synth",)),
        syntheses={
            "problem0": Synthesis(reason=None, equivalence="proved"),
            "problem1": undecided("too_large"),
            "problem2": Synthesis(reason=None, equivalence="proved"),
            "problem3": Synthesis(reason="not_read", detail="ERROR: a construct"),
        },
    )


@pytest.fixture(scope="module")
def evidence() -> Evidence[Designs]:
    results = {"base": designs(NO_CODE), "sft": designs(PASSES)}
    measured = {model: TASK.measure(result, OPTIONS) for model, result in results.items()}
    comparisons = compare(measured, PairedStatistics(resamples=100, permutations=1_000))
    return Evidence(OPTIONS, results, comparisons, Adapted("base", None, "sft"), 0.95, 0.1)


def test_every_number_of_the_tables_exists(evidence: Evidence[Designs]) -> None:
    section = TASK.describe(evidence)
    named = [name for table in section.tables for row in table.rows for name in row.measures]
    assert set(named) <= set(evidence.comparisons)
    values = {name: evidence.comparisons[name].values["sft"].value for name in named}
    assert values["toys.passes"] == 1.0 and values["toys.passes_of_all"] == 0.8
    assert values["toys.sampled_parses"] == 0.5 and values["toys.pass_at_2"] == 0.0
    assert values["toys.reason.elaboration_error"] == pytest.approx(1 / 3)
    assert values["toys.synthesizes"] == pytest.approx(2 / 3) and values["toys.proved"] == pytest.approx(1 / 3)
    assert values["toys.sampled_proved"] == 0.0
    assert {"toys.passes.fsm", "toys.passes_by_difficulty.easy"} <= set(named)


def test_notes_say_how_answers_were_judged(evidence: Evidence[Designs]) -> None:
    section = TASK.describe(evidence)
    notes = " ".join(note for table in section.tables for note in table.notes)
    for text in (
        "Verilator 5.48.0 (SHA-256 of the program abababababababab…), options --timing",
        "Extraction rule cdcdcdcdcdcdcdcd…",
        "n = 2, temperature 0.8, top-p 0.95, seed 1234",
        "Icarus Verilog 11.0 judged 9 golden solutions and mutants, and disagrees on 1: problem1/golden.",
        "4 of 5 problems are usable",
        "Yosys 0.70 (SHA-256 of its programs efefefefefefefef…) synthesizes 3 of 4 golden solutions",
        "does not synthesize: problem3 (not_read).",
        "not proved equal to themselves: problem1 (too_large).",
        "base: no answer passes, n = 0.",
        "sft: n = 3 answers that pass, of which 2 synthesize; 1 are proved equivalent, 1 differ, 0 are undecided. "
        "They differ in: problem1#0 (output full, step 3).",
        "problem4: The golden solution fails.",
        "do not notice 1 of 5 mutants: problem0/late.",
    ):
        assert text in notes
    facts: dict[str, Any] = dict(section.facts)["toys.designs"]
    assert facts["reasons"] == {
        "base": {"elaboration_error": 4, "no_code": 8},
        "sft": {"elaboration_error": 4, "no_code": 4},
    }
    assert facts["synthesizer"]["version"] == "0.70" and facts["golden_syntheses"]["problem3"]["reason"] == "not_read"
    assert facts["syntheses"]["sft"] == {
        **{"judged": 3, "synthesizes": 2, "proved": 1, "different": 1, "undecided": 0},
        "reasons": {"inferred_latch": 1},
        "differ": {"problem1#0": "output full, step 3"},
    }


def test_answers_tell_how_far_they_got_and_the_first_wrong_output() -> None:
    """A message in another form than that of the project's test benches has no values."""
    wrong = Judgement(rung="simulates", reason="wrong_output", detail="FAIL sum is 1F, not x0, at 12")
    other = Judgement(rung="simulates", reason="wrong_output", detail="Mismatches: 3 in 100 samples")
    found = [TASK.answered(designs(one))[f"{0:064}"] for one in (PASSES, PARSES, wrong, other)]
    assert [one.kind for one in found] == ["exact", "failure", "near miss", "near miss"]
    assert [one.label for one in found] == ["passes", "elaboration_error", "wrong_output", "wrong_output"]
    assert [one.mismatch for one in found] == [None, None, Mismatch("sum", "1f", "x0", 12), None]
    assert found[1].verdict == "names, types or widths do not resolve" and found[1].message == "no such name"
    assert found[0].facts["samples that pass"] == "0 of 2"
    assert found[0].facts["equal to the golden solution"] == "proved"


def test_without_a_synthesizer_the_page_has_no_part_about_it(evidence: Evidence[Designs]) -> None:
    update = {"synthesizer": None, "syntheses": {}}
    results = {model: result.model_copy(update=update) for model, result in evidence.results.items()}
    section = TASK.describe(replace(evidence, results=results))
    assert "Beyond the test bench" not in [table.heading for table in section.tables]
    assert dict(section.facts)["toys.designs"]["synthesizer"] is None


def test_the_first_screen_says_how_many_prompts_fit_the_context() -> None:
    no_room = Judgement(rung="nothing", reason="no_room")
    results = {"base": designs(no_room), "sft": designs(NO_CODE)}
    results["sft"].designs[0].attempts[0] = results["base"].designs[0].attempts[0]
    measured = {model: TASK.measure(result, OPTIONS) for model, result in results.items()}
    comparisons = compare(measured, PairedStatistics(resamples=100, permutations=1_000))
    section = TASK.describe(Evidence(OPTIONS, results, comparisons, Adapted("base", None, "sft"), 0.95, 0.1))
    [shown], [verdict] = section.decisive, section.verdicts
    assert shown.reason == "3 of 4 prompts fit the context; 0 of those pass"
    assert shown.clause == "solves 0 of 4 RTL problems (0 before; 3 of 4 prompts fit the context)"
    assert (verdict.outcome, shown.outcome) == ("open", "open") and shown.reason in verdict.sentence
    assert list(shown.measures) == ["parses", "compiles", "passes"]
