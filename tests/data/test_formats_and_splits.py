"""The prompt-response form and the splits: faults F35 to F42 of the original scripts, put right."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tapeout.data.instructions.formatting import NoOwnRows, clean, format_rows, own_rows
from tapeout.data.instructions.splits import ConflictingRows, EmptySplit, split_rows

from tapeout.config.instructions import FormattedInstructions, FormattedJob, InstructionSplits, SplitsJob
from tapeout.data.io.jsonl import MalformedRow

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[2]
PATH = Path("rows.jsonl")


def raw(number: int, source: str = "alpha", group: str = "", **changes: str) -> dict[str, str]:
    row = {
        "instruction": f"What is number {number}?",
        "context": f"Context {number}[3] of the row.",
        "response": f"It is {number}.",
        "category": "closed_qa",
        "source": source,
        "licence": "ISC",
        "group": group or f"group{number // 3}",
    }
    return {**row, **changes}


def formatted(rows: list[dict[str, str]], **settings: object) -> list[dict[str, str]]:
    return list(format_rows(PATH, rows, FormattedInstructions.model_validate(settings)))


def test_the_coin_is_fair_and_belongs_to_the_row() -> None:
    rows = [raw(number) for number in range(2000)]
    first = formatted(rows, seed=1)
    leads = [row["input"].startswith("Context") for row in first]
    assert 900 < sum(leads) < 1100
    shuffled = list(rows)
    Random(3).shuffle(shuffled)
    assert sorted(row["input"] for row in formatted(shuffled, seed=1)) == sorted(row["input"] for row in first)
    other = [row["input"].startswith("Context") for row in formatted(rows, seed=2)]
    assert 800 < sum(a != b for a, b in zip(leads, other, strict=True)) < 1200


def test_parts_are_joined_by_an_empty_line() -> None:
    (row,) = formatted([raw(7)])
    assert set(row["input"].split("\n\n")) == {"What is number 7?", "Context 7[3] of the row."}
    (alone,) = formatted([raw(7, context=" \n")])
    assert alone["input"] == "What is number 7?"


def test_citations_go_only_if_asked() -> None:
    (kept,), (gone,) = (formatted([raw(7)], strip_citations=strip) for strip in (False, True))
    assert "7[3]" in kept["input"]
    assert "[3]" not in gone["input"]
    (code,) = formatted([raw(7, response="q[3]")], strip_citations=True)
    assert code["output"] == "q[3]"


def test_one_white_space_rule_for_all_fields() -> None:
    (row,) = formatted([raw(1, instruction=" \tAsk\r\n", context="  a  \n\n\tb \n", response="\n  yes \r\n")])
    assert set(row["input"].split("\n\n", 1)) <= {"Ask", "a", "a\n\n\tb", "\tb", "\tb\n\nAsk", "a\n\n\tb\n\nAsk"}
    assert row["input"] in ("Ask\n\na\n\n\tb", "a\n\n\tb\n\nAsk")
    assert row["output"] == "yes"


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize("field", ["instruction", "response"])
def test_an_empty_question_or_answer_is_named(field: str) -> None:
    with pytest.raises(MalformedRow, match="line 2"):
        formatted([raw(1), raw(2, **{field: "  "})])


def make_rows(count: int) -> list[dict[str, str]]:
    rows = [raw(number) for number in range(count)]
    return formatted(rows + [raw(number, source="held", group=f"held{number}") for number in range(count, count + 9)])


def split(rows: list[dict[str, str]], share: float = 0.2) -> dict[str, set[str]]:
    sides, _ = split_rows(rows, ["held"], InstructionSplits(validation_share=share))
    return {side: {row["digest"] for row in members} for side, members in sides.items()}


def test_sides_are_disjoint_by_group_and_test_is_held_out() -> None:
    rows = make_rows(600)
    sides, dropped = split_rows(rows, ["held"], InstructionSplits(validation_share=0.2))
    assert sum(map(len, sides.values())) == len(rows)
    assert not dropped
    assert {row["source"] for row in sides["test"]} == {"held"}
    groups = {side: {row["group"] for row in members} for side, members in sides.items()}
    assert not groups["train"] & groups["validation"]
    assert 60 < len(sides["validation"]) < 180


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False), st.integers(1, 60))
def test_insertion_and_order_move_nothing(random: Random, more: int) -> None:
    before = split(make_rows(90))
    rows = make_rows(90) + formatted([raw(1000 + number) for number in range(more)])
    random.shuffle(rows)
    after = split(rows)
    assert all(before[side] <= after[side] for side in before)


def test_a_group_of_a_held_out_core_is_not_trained_on() -> None:
    rows = make_rows(90) + formatted([raw(500, source="held", group="group4")])
    sides, dropped = split_rows(rows, ["held"], InstructionSplits())
    assert dropped == {"module of this name also in a held-out core": 3}
    assert "group4" not in {row["group"] for side in ("train", "validation") for row in sides[side]}


def test_the_same_input_on_two_sides_stays_in_the_test_only() -> None:
    double = formatted([raw(0, source="held", group="elsewhere")])
    sides, dropped = split_rows(make_rows(90) + double, ["held"], InstructionSplits())
    inputs = Counter(row["input"] for members in sides.values() for row in members)
    assert max(inputs.values()) == 1
    assert double[0]["input"] in {row["input"] for row in sides["test"]}
    assert dropped == {"same input and output as another row": 1}


def test_conflicts_and_empty_sides_are_named() -> None:
    rows = make_rows(90)
    with pytest.raises(ConflictingRows, match="different outputs"):
        split_rows([*rows, {**rows[0], "output": "something else"}], ["held"], InstructionSplits())
    with pytest.raises(EmptySplit, match="test"):
        split_rows(rows, ["nobody"], InstructionSplits())


def run(script: str, tmp_path: Path, params: str, *options: str) -> None:
    (tmp_path / "params.json").write_text(params)
    command = [sys.executable, f"scripts/{script}.py", "--params", str(tmp_path / "params.json"), *options]
    subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, check=True)


def test_the_scripts(tmp_path: Path) -> None:
    rows = [raw(number) for number in range(200)] + [raw(999, source="held", group="held")]
    (tmp_path / "raw.data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    between, output = tmp_path / "formatted.jsonl", tmp_path / "splits"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "rows.jsonl").write_text(json.dumps(OWN) + "\n")
    params = FormattedJob(own={"mine": "ISC"}).model_dump_json()
    inputs = ["--raw", str(tmp_path / "raw.data.jsonl"), "--own", str(tmp_path / "mine")]
    run("instructions_formatted", tmp_path, params, *inputs, "--output", str(between))
    assert len(between.read_text().splitlines()) == 202
    params = SplitsJob(test=("held",), validation_share=0.2).model_dump_json()
    run("instructions_splits", tmp_path, params, "--formatted", str(between), "--output", str(output))
    report = json.loads((output / "report.json").read_text())
    assert {each.name for each in output.iterdir()} == {"train.jsonl", "validation.jsonl", "test.jsonl", "report.json"}
    assert sum(report["rows"][side]["closed_qa"] for side in ("train", "validation", "test")) == 201
    assert report["rows"]["train"].get("own", 0) + report["rows"]["validation"].get("own", 0) == 1
    row = json.loads((output / "test.jsonl").read_text())
    assert set(row) == {"input", "output", "category", "source", "licence", "group", "digest"}
    assert {json.loads(line)["licence"] for line in between.read_text().splitlines()} == {"ISC"}


OWN = {"instruction": "What is a latch?", "context": "", "response": "Storage without a clock.", "category": "own"}


def test_own_rows_carry_their_source_and_belong_to_no_one_elses_group(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(OWN) + "\n" + json.dumps({**OWN, "context": "x", "group": "g"}) + "\n")
    first, second = own_rows(tmp_path, "mine", "MIT", FormattedInstructions())
    assert (first["source"], first["licence"], first["category"]) == ("mine", "MIT", "own")
    assert first["group"] == first["digest"] and second["group"] == "g"


@pytest.mark.parametrize(
    "change", [{"response": 1}, {"group": 1}, {"source": "another"}, {"output": "x"}, {"instruction": ""}]
)
def test_own_rows_that_are_none_are_named_with_their_line(tmp_path: Path, change: dict) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(OWN) + "\n" + json.dumps({**OWN, **change}) + "\n")
    with pytest.raises(MalformedRow, match="line 2"):
        list(own_rows(tmp_path, "mine", "MIT", FormattedInstructions()))


def test_a_source_without_own_rows_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("instruction,response\n")
    with pytest.raises(NoOwnRows, match="mine"):
        list(own_rows(tmp_path, "mine", "MIT", FormattedInstructions()))
