"""Prompt and response: faults F36 to F38 of the original script, and the files that people have."""

import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.data.instructions import formatting, text
from tapeout.data.instructions.import_report import BadRow
from tests.data.imported.material import contents, imported, write_lines

pytestmark = pytest.mark.environment("data")


def dolly(number: int, **changes: Any) -> dict[str, Any]:
    row = {
        "instruction": f"What is number {number}?",
        "context": f"Context {number}[3] of the row.",
        "response": f"It is {number}.",
        "category": "closed_qa",
    }
    return {**row, **changes}


@given(st.text(), st.integers(0, 9), st.text())
def test_white_space_and_coin_are_those_of_own_rows(words: str, seed: int, digest: str) -> None:
    assert text.clean(words) == formatting.clean(words)
    assert text.context_first(seed, digest) == formatting.context_first(seed, digest)
    assert text.CITATION.pattern == formatting.CITATION.pattern


def test_the_coin_belongs_to_the_row(tmp_path: Path) -> None:
    rows = [dolly(number) for number in range(600)]
    once, account = contents(write_lines(tmp_path / "a", rows), "prompt_response")
    assert account.changed["context first"] + account.changed["instruction first"] == 600
    assert 250 < account.changed["context first"] < 350
    Random(1).shuffle(rows)
    again, _ = contents(write_lines(tmp_path / "b", rows[:300]), "prompt_response")
    inputs = {row["digest"]: row["input"] for row in once}
    assert all(inputs[row["digest"]] == row["input"] for row in again)
    other, _ = contents(tmp_path / "b", "prompt_response", seed=2)
    assert 80 < sum(one["input"] != two["input"] for one, two in zip(again, other, strict=True)) < 220


def test_separator_citations_and_white_space(tmp_path: Path) -> None:
    rows = [dolly(7, instruction=" \tAsk\r\n", response="\n q[3] \r\n"), dolly(8, context=" \n")]
    folder = write_lines(tmp_path / "a", rows)
    (first, alone), account = contents(folder, "prompt_response", strip_citations=True, separator="\n--\n")
    assert first["input"] in ("Ask\n--\nContext 7 of the row.", "Context 7 of the row.\n--\nAsk")
    assert (first["output"], alone["input"]) == ("q[3]", "What is number 8?")
    assert account.changed["citation marks removed"] == 1
    (first, _), account = contents(folder, "prompt_response")
    assert "7[3]" in first["input"] and "citation marks removed" not in account.changed


def test_columns_of_other_names_and_a_constant_category(tmp_path: Path) -> None:
    folder = write_lines(tmp_path / "a", [{"q": "Ask", "a": "Say", "more": 1}])
    fields = {"instruction": "q", "context": None, "response": "a", "category": None}
    (row,), _ = contents(folder, "prompt_response", fields=fields, category="mine")
    digest = text.digest_of("Ask", "", "Say", "mine")
    assert row == {
        "input": "Ask",
        "output": "Say",
        "category": "mine",
        "source": "given",
        "licence": "MIT",
        "group": digest,
        "digest": digest,
    }


def test_the_same_rows_in_every_kind_of_file(tmp_path: Path) -> None:
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
        found, account = contents(folder, "prompt_response")
        assert found == wanted, name
        assert account.dropped == ({"blank record": 1} if name == "table.csv" else {})


def test_tasks_of_self_instruct(tmp_path: Path) -> None:
    task = {
        "id": "seed_task_0",
        "instruction": "Say it.",
        "is_classification": True,
        "instances": [{"input": "", "output": "It."}, {"input": "That", "output": "That."}],
    }
    rows, account = contents(
        write_lines(tmp_path / "a", [task, {**task, "instruction": "B", "instances": []}]),
        "self_instruct",
        bad_rows="drop",
    )
    assert [row["input"] for row in rows] == ["Say it.", "Say it.\n\nThat"]
    assert len({row["group"] for row in rows}) == 1 and rows[0]["category"] == "classification"
    assert account.dropped == {"the task has no instance": 1}


@pytest.mark.parametrize("field", ["instruction", "response", "category"])
@pytest.mark.parametrize("value", [None, "", "  ", 7, ["x"], "a\0b"])
def test_what_is_no_row_stops_or_is_counted(tmp_path: Path, field: str, value: Any) -> None:
    folder = write_lines(tmp_path / "a", [dolly(1), dolly(2, **{field: value}), dolly(3)])
    with pytest.raises(BadRow, match="line 2.*\n  fix: "):
        contents(folder, "prompt_response")
    rows, account = contents(folder, "prompt_response", bad_rows="drop")
    assert len(rows) == 2 and account.dropped.total() == 1
    assert [place for places in account.places.values() for place in places] == ["rows.jsonl, line 2"]


def test_the_report_counts_everything(tmp_path: Path) -> None:
    rows = [dolly(number, response="yes " * number, instruction=f"{number} " * 9) for number in range(1, 200)]
    folder = write_lines(tmp_path / "a", [*rows, rows[0], "no object"])
    sides, report = imported(folder, tmp_path / "out", "prompt_response", bad_rows="drop")
    assert report["read"] == {"files": 1, "rows": 201}
    assert report["dropped"]["row equal to another"]["count"] == 1
    assert report["dropped"]["the row is no object"] == {"count": 1, "first": ["rows.jsonl, line 201"]}
    assert report["rows"] == {side: len(members) for side, members in sides.items()}
    assert sum(report["rows"].values()) == 199 == sum(sum(each.values()) for each in report["categories"].values())
