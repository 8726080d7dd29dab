"""Prompt and response, tasks of self-instruct, and the files that people have (faults F36 to F38)."""

import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.data.errors import BadRow
from tapeout.data.instructions import instruction_set
from tapeout.data.instructions.instruction_set import write_set
from tapeout.data.instructions.row import clean, digest_of
from tests.data.instructions.material import contents, job, make_set, write_lines

pytestmark = pytest.mark.environment("data")


def dolly(number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "instruction": f"What is number {number}?",
        "context": f"Context {number}[3] of the row.",
        "response": f"It is {number}.",
        "category": "closed_qa",
    }
    return {**row, **changes}


@given(st.text())
def test_cleaning_twice_changes_nothing(words: str) -> None:
    assert clean(clean(words)) == clean(words)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\n    if a:  \r\n        b\n\n    c\n", "    if a:\n        b\n\n    c"),
        ("\tassign a = b;\n\tassign c = d;", "\tassign a = b;\n\tassign c = d;"),
        ("  A line.\nAnother one.", "A line.\nAnother one."),
        ("    one line\n\n", "one line"),
        (" \n\t\n", ""),
    ],
)
def test_a_block_of_code_keeps_its_indentation(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned == clean(cleaned)


def test_contexts_and_groups_have_normalized_white_space(tmp_path: Path) -> None:
    rows = [
        dolly(1, context="one \r\ntwo\t\n", about="a "),
        dolly(2, context=" \r\n", about="a"),
        dolly(3, context="\r", about="\na"),
    ]
    made, counts = contents(write_lines(tmp_path / "a", rows), "prompt_response", fields={"group": "about"})
    assert not any("\r" in row["input"] or " \n" in row["input"] for row in made)
    assert [row["input"] for row in made[1:]] == ["What is number 2?", "What is number 3?"]
    assert {row["group"] for row in made} == {"a"}
    assert counts.changed["context first"] + counts.changed["instruction first"] == 1


def test_the_coin_depends_on_the_row_alone(tmp_path: Path) -> None:
    rows = [dolly(number) for number in range(600)]
    once, counts = contents(write_lines(tmp_path / "a", rows), "prompt_response")
    assert counts.changed["context first"] + counts.changed["instruction first"] == 600
    assert 250 < counts.changed["context first"] < 350
    Random(1).shuffle(rows)
    again, _ = contents(write_lines(tmp_path / "b", rows[:300]), "prompt_response")
    inputs = {row["digest"]: row["input"] for row in once}
    assert all(inputs[row["digest"]] == row["input"] for row in again)
    other, _ = contents(tmp_path / "b", "prompt_response", seed=2)
    assert 80 < sum(one["input"] != two["input"] for one, two in zip(again, other, strict=True)) < 220


def test_separator_citations_and_white_space(tmp_path: Path) -> None:
    rows = [dolly(7, instruction=" \tAsk\r\n", response="\n q[3] \r\n"), dolly(8, context=" \n")]
    folder = write_lines(tmp_path / "a", rows)
    (first, alone), counts = contents(folder, "prompt_response", strip_citations=True, separator="\n--\n")
    assert first["input"] in ("Ask\n--\nContext 7 of the row.", "Context 7 of the row.\n--\nAsk")
    assert (first["output"], alone["input"]) == ("q[3]", "What is number 8?")
    assert counts.changed["citation marks removed"] == 1
    (first, _), counts = contents(folder, "prompt_response")
    assert "7[3]" in first["input"] and "citation marks removed" not in counts.changed


def test_columns_of_other_names_and_a_constant_category(tmp_path: Path) -> None:
    folder = write_lines(tmp_path / "a", [{"q": "Ask", "a": "Say", "more": 1}])
    fields = {"instruction": "q", "context": None, "response": "a", "category": None}
    (row,), _ = contents(folder, "prompt_response", fields=fields, category="mine")
    digest = digest_of("Ask", "", "Say", "mine")
    assert row == {
        "input": "Ask",
        "output": "Say",
        "category": "mine",
        "source": "given",
        "licence": "MIT",
        "group": digest,
        "digest": digest,
    }


def test_every_type_of_file_gives_the_same_rows(tmp_path: Path) -> None:
    rows = [dolly(number, context='two\nlines, with "quotes"') for number in range(3)]
    wanted, _ = contents(write_lines(tmp_path / "jsonl", rows), "prompt_response")
    columns = ["instruction", "context", "response", "category"]
    quoted = [",".join('"' + row[name].replace('"', '""') + '"' for name in columns) for row in rows]
    files = {
        "list.json": json.dumps(rows).encode(),
        "marked.jsonl": b"\xef\xbb\xbf" + (tmp_path / "jsonl" / "rows.jsonl").read_bytes(),
        "packed.jsonl.gz": gzip.compress((tmp_path / "jsonl" / "rows.jsonl").read_bytes()),
        "table.csv": ("\ufeff" + "\r\n".join([",".join(columns), *quoted]) + "\r\n,,,\r\n").encode(),
    }
    for name, content in files.items():
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_bytes(content)
        found, counts = contents(folder, "prompt_response")
        assert found == wanted, name
        assert counts.dropped == ({"blank record": 1} if name == "table.csv" else {})


def test_tasks_of_self_instruct(tmp_path: Path) -> None:
    task = {
        "id": "seed_task_0",
        "instruction": "Say it.",
        "is_classification": True,
        "instances": [{"input": "", "output": "It."}, {"input": "That", "output": "That."}],
    }
    rows, counts = contents(
        write_lines(tmp_path / "a", [task, {**task, "instruction": "B", "instances": []}]),
        "self_instruct",
        bad_rows="drop",
    )
    assert [row["input"] for row in rows] == ["Say it.", "Say it.\n\nThat"]
    assert len({row["group"] for row in rows}) == 1 and rows[0]["category"] == "classification"
    assert counts.dropped == {"the task has no instance": 1}


@pytest.mark.parametrize("field", ["instruction", "response", "category"])
@pytest.mark.parametrize("value", [None, "", "  ", 7, ["x"], "a\0b"])
def test_a_bad_row_stops_or_is_counted(tmp_path: Path, field: str, value: Any) -> None:
    folder = write_lines(tmp_path / "a", [dolly(1), dolly(2, **{field: value}), dolly(3)])
    with pytest.raises(BadRow, match="line 2.*\n  fix: "):
        contents(folder, "prompt_response")
    rows, counts = contents(folder, "prompt_response", bad_rows="drop")
    assert len(rows) == 2 and counts.dropped.total() == 1
    assert [location for locations in counts.locations.values() for location in locations] == ["rows.jsonl, line 2"]


def test_rows_with_groups_share_a_split_and_misspelt_fields_are_found(tmp_path: Path) -> None:
    rows = [dolly(1, group="latches"), dolly(2, group=""), dolly(3)]
    found, _ = contents(write_lines(tmp_path / "a", rows), "prompt_response", fields={"group": "group"})
    assert found[0]["group"] == "latches" and all(row["group"] == row["digest"] for row in found[1:])
    folder = write_lines(tmp_path / "b", [dolly(1, gruop="latches")])
    with pytest.raises(BadRow, match=r"none has the field 'group', which fields\.group names"):
        contents(folder, "prompt_response", fields={"group": "group"})
    with pytest.raises(BadRow, match="line 1: a field is unknown .*gruop"):
        contents(folder, "prompt_response", fields={"group": "group"}, other_fields="reject")
    with pytest.raises(BadRow, match="field 'group' of the row is not a text"):
        contents(write_lines(tmp_path / "c", [dolly(1, group=1)]), "prompt_response", fields={"group": "group"})


def test_any_number_of_processes_and_sources_make_the_same_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instruction_set, "BATCH", 100)
    folder = write_lines(tmp_path / "in", [dolly(n, instruction=digest_of(str(n)), context="") for n in range(600)])
    sets = []
    for workers in (1, 2):
        write_set({"given": folder}, job("prompt_response"), tmp_path / f"{workers}", workers)
        sets.append({path.name: path.read_bytes() for path in (tmp_path / f"{workers}").iterdir()})
    assert sets[0] == sets[1]
    two = job("prompt_response", sources=["given", "other"], split={"near_duplicates": 1})
    two = two.model_copy(update={"licences": {"given": "MIT", "other": "ISC"}})
    other = write_lines(tmp_path / "other", [dolly(number) for number in range(10)])
    assert sum(write_set({"given": folder, "other": other}, two, tmp_path / "two").values()) == 610
    lines = [json.loads(line) for path in (tmp_path / "two").glob("*.jsonl") for line in path.open()]
    assert sum((row["source"], row["licence"]) == ("other", "ISC") for row in lines) == 10


def test_the_report_counts_everything(tmp_path: Path) -> None:
    rows = [dolly(number, response="yes " * number, instruction=f"{number} " * 9) for number in range(1, 200)]
    folder = write_lines(tmp_path / "a", [*rows, rows[0], "no object"])
    splits, report = make_set(folder, tmp_path / "out", "prompt_response", bad_rows="drop")
    assert report["read"] == {"files": 1, "rows": 201}
    assert report["dropped"]["row equal to another"]["count"] == 1
    assert report["dropped"]["the row is not an object"] == {"count": 1, "first": ["rows.jsonl, line 201"]}
    assert report["rows"] == {part: len(members) for part, members in splits.items()}
    assert sum(report["rows"].values()) == 199 == sum(sum(part.values()) for part in report["categories"].values())
