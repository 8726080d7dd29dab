"""Saved samples, judged without a model: the task's numbers are known answers."""

import json
from pathlib import Path

import pytest

from tapeout.data.errors import NotEnoughData
from tapeout.evals.design_syntheses import counts, differing
from tapeout.evals.pass_at_k import pass_at_k
from tapeout.evals.samples import UnusableSamples, read_parts, read_samples, write_samples
from tapeout.evals.task import ModelFacts, Sample
from tapeout.evals.tasks.verilog_generation import TASK, Options
from tapeout.simulation.checked import CheckedSet, SimulatorFacts
from tapeout.simulation.problem_set import CheckedProblem, write_lines
from tapeout.simulation.synthesis import Synthesis
from tests.simulation.toys import COUNTER, GOLDEN

pytestmark = pytest.mark.environment("rtl")
OTHER = COUNTER.model_copy(update={"name": "other", "category": "arithmetic", "mutants": {}})
BROKEN = COUNTER.model_copy(update={"name": "unusable"})
OPTIONS = Options(problems="problems/toys", samples=3, pass_at=(1, 2))
FACTS = ModelFacts(context=64, parameters=1, vocabulary=1)
WRONG = GOLDEN.replace("q + 1", "q + 2")
SAME = GOLDEN.replace("q + 1", "1 + q")
LATE = """module counter(input logic clk, input logic rst, output logic [3:0] q);
  logic [6:0] age;
  always_ff @(posedge clk) begin
    age <= rst ? 0 : age + 1;
    q <= rst ? 0 : q + 1 + (age == 60);
  end
endmodule
"""
"""Passes the test bench, which does not run so long."""
YOSYS = SimulatorFacts(name="Yosys", version="0.70", digest="", flags=())
SYNTHESES = {
    "counter": Synthesis(reason=None, equivalence="proved"),
    "other": Synthesis(reason="not_read", detail="a construct"),
}
ANSWERS = {"counter": [GOLDEN, GOLDEN, "no", WRONG], "other": ["module counter;", "no", None, "no"]}
SAMPLES = [
    Sample(name=name, number=number, prompt="p", text=text, tokens=1, finished=True)
    for name, texts in ANSWERS.items()
    for number, text in enumerate(texts)
]


def files(folder: Path, unusable: str = "", is_synthesized: bool = True) -> dict[str, Path]:
    """Write the problems, of which the last one is unusable."""
    reasons = {COUNTER.name: unusable, OTHER.name: unusable, BROKEN.name: "It has no bench."}
    simulator = SimulatorFacts(name="Verilator", version="5", digest="", flags=())
    checked = CheckedSet(
        problems=[
            CheckedProblem(name=name, digest="d", unusable=reason, mutants=1, survivors=("same",) if not reason else ())
            for name, reason in reasons.items()
        ],
        simulator=simulator,
        second=None,
        compared=0,
        disagreements=[],
        isolation="namespaces",
        extraction_rule="",
        synthesizer=YOSYS if is_synthesized else None,
        syntheses=SYNTHESES if is_synthesized else {},
    )
    write_lines(folder / "problems.jsonl", [COUNTER, OTHER, BROKEN])
    write_lines(folder / "checked.json", [checked])
    return {"problems": folder / "problems.jsonl", "checked": folder / "checked.json"}


def test_scores_are_reproduced_from_saved_samples(tmp_path: Path) -> None:
    write_samples(tmp_path / "samples.jsonl", FACTS, SAMPLES)
    facts, samples = read_samples(tmp_path / "samples.jsonl")
    assert (facts, samples) == (FACTS, SAMPLES)
    parts = []
    for name, part in (("other", SAMPLES[4:]), ("none", []), ("counter", SAMPLES[:4])):
        write_samples(tmp_path / name, FACTS, part)
        parts.append(tmp_path / name)
    in_parts = read_parts(parts)
    assert in_parts == (FACTS, [*SAMPLES[4:], *SAMPLES[:4]])
    result = TASK.judge(in_parts[1], files(tmp_path), OPTIONS, threads=2)
    assert TASK.judge(list(reversed(SAMPLES)), files(tmp_path), OPTIONS, threads=1) == result
    counter, other, broken = result.designs
    assert TASK.texts(files(tmp_path), OPTIONS)[counter.digest] == f"{COUNTER.prompt}\n{GOLDEN}"
    assert [attempt.judgement.reason for attempt in counter.attempts] == [None, None, "no_code", "wrong_output"]
    assert [attempt.judgement.reason for attempt in other.attempts] == [
        *("syntax_error", "no_code", "no_room", "no_code"),
    ]
    assert [attempt.answer for attempt in counter.attempts] == ANSWERS["counter"]
    assert (broken.unusable, broken.attempts) == ("It has no bench.", [])
    assert result.survivors == ["counter/same", "other/same"]
    measured = {measure.name: units for measure, units in TASK.measure(result, OPTIONS)}
    values = {name: [unit.numerator for unit in units] for name, units in measured.items()}
    assert values["toys.passes"] == [1.0, 0.0] and values["toys.passes_of_all"] == [1.0, 0.0, 0.0]
    assert values["toys.extracted"] == [1.0, 1.0] and values["toys.parses"] == [1.0, 0.0]
    assert values["toys.sampled_simulates"] == [2 / 3, 0.0]
    assert values["toys.pass_at_1"] == [pass_at_k(3, 1, 1), 0.0] and values["toys.pass_at_2"] == [
        pass_at_k(3, 1, 2),
        0.0,
    ]
    assert values["toys.reason.no_code"] == [0.25, 0.5]
    reasons = [sum(values[name][row] for name in values if ".reason." in name) for row in range(2)]
    assert reasons == [0.5, 1.0]  # exactly one reason for each answer that does not pass
    assert [unit.stratum for unit in measured["toys.passes"]] == ["sequential", "arithmetic"]


def test_answers_that_pass_are_compared_with_the_golden_solution(tmp_path: Path) -> None:
    texts = {"counter": [SAME, LATE, WRONG, SAME], "other": [GOLDEN, "no", "no", "no"]}
    samples = [
        Sample(name=name, number=number, prompt="p", text=text, tokens=1, finished=True)
        for name, answers in texts.items()
        for number, text in enumerate(answers)
    ]
    result = TASK.judge(samples, files(tmp_path), OPTIONS, threads=2)
    counter, other, _ = result.designs
    equal = Synthesis(reason=None, equivalence="proved")
    different = Synthesis(reason=None, equivalence="different", detail="output q, step 62")
    assert [attempt.synthesis for attempt in counter.attempts] == [equal, different, None, equal]
    assert other.attempts[0].judgement.passes and other.attempts[0].synthesis is None
    assert (result.synthesizer, [one.name for one in result.synthesized]) == (YOSYS, ["counter"])
    values = {measure.name: [unit.numerator for unit in units] for measure, units in TASK.measure(result, OPTIONS)}
    assert values["toys.passes"] == [1.0, 1.0]
    assert (values["toys.synthesizes"], values["toys.proved"]) == ([1.0], [1.0])
    assert (values["toys.sampled_synthesizes"], values["toys.sampled_proved"]) == ([2 / 3], [1 / 3])
    assert counts(result) == {"judged": 3, "synthesizes": 3, "proved": 2, "different": 1, "undecided": 0}
    assert differing(result) == {"counter#1": "output q, step 62"}
    without = TASK.judge(samples, files(tmp_path, is_synthesized=False), OPTIONS, threads=2)
    assert all(attempt.synthesis is None for design in without.designs for attempt in design.attempts)
    assert "toys.synthesizes" not in {measure.name for measure, _ in TASK.measure(without, OPTIONS)}


def test_a_set_without_a_usable_problem_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughData, match="None of the 3 problems is usable; the first: It is wrong"):
        TASK.judge(SAMPLES, files(tmp_path, "It is wrong."), OPTIONS, threads=1)


def test_other_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "samples").write_text(json.dumps({"context": 1}))
    with pytest.raises(UnusableSamples, match="has no samples"):
        read_samples(tmp_path / "samples")
    for vocabulary in (1, 2):
        write_samples(tmp_path / str(vocabulary), FACTS.model_copy(update={"vocabulary": vocabulary}), [])
    with pytest.raises(UnusableSamples, match="from different models"):
        read_parts([tmp_path / "1", tmp_path / "2"])


def test_more_samples_are_needed_than_k() -> None:
    with pytest.raises(ValueError, match="pass_at has 5, but there are 3 samples"):
        Options(samples=3, pass_at=(1, 5))
