"""Files that are odd but right, and bad ones that test_bad_input does not cover."""

import gzip
import json
import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tapeout.data.errors import BadRow, UnreadableFile
from tapeout.data.instructions import reading
from tapeout.data.io.parquet import arrow_errors, parquet_texts
from tests.data.instructions.material import contents, make_set, write_lines
from tests.data.instructions.test_bad_input import ROW

pytestmark = pytest.mark.environment("corpus")

COLUMNS = {name: [value, f"{value}2"] for name, value in ROW.items()}
TIMES = {
    "nanoseconds": pyarrow.array([1, 2], pyarrow.timestamp("ns")),
    "no such zone": pyarrow.array([1, 2], pyarrow.timestamp("us", "Mars/Olympus")),
    "far away": pyarrow.array([2**61, 2], pyarrow.timestamp("us")),
    "days": pyarrow.array([2**30, 2], pyarrow.int32()).view(pyarrow.date32()),
    "a duration": pyarrow.array([1, 2], pyarrow.duration("ns")),
    "of day": pyarrow.array([1, 2], pyarrow.time64("ns")),
}


def table(folder: Path, columns: dict[str, Any]) -> Path:
    folder.mkdir()
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "rows.parquet")
    return folder


@pytest.mark.parametrize("column", TIMES.values(), ids=TIMES)
def test_columns_of_times_are_ignored_and_counted(column: pyarrow.Array, tmp_path: Path) -> None:
    folder = table(tmp_path / "a", {**COLUMNS, "made": column})
    rows, counts = contents(folder, "prompt_response")
    assert len(rows) == 2 and not counts.dropped and counts.changed["ignored field 'made'"] == 2
    with pytest.raises(BadRow, match="field 'made' of the row is not a text"):
        contents(folder, "prompt_response", fields={"group": "made"})


def test_a_parquet_file_that_was_altered_or_names_a_field_twice_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    plain = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pyarrow.parquet.write_table(pyarrow.table(COLUMNS), folder / "rows.parquet", **plain)
    content = (folder / "rows.parquet").read_bytes()
    answer = len(ROW["response"]).to_bytes(4, "little") + ROW["response"].encode()
    (folder / "rows.parquet").write_bytes(content.replace(answer, answer[:-1] + b"!"))
    with pytest.raises(UnreadableFile, match="CRC checksum verification failed"):
        contents(folder, "prompt_response")
    with (
        pytest.raises(UnreadableFile, match="CRC checksum verification failed"),
        arrow_errors("rows.parquet"),
        (folder / "rows.parquet").open("rb") as stream,
    ):
        list(parquet_texts("rows.parquet", stream, "response", Counter()))
    twice = pyarrow.StructArray.from_arrays([pyarrow.array([1, 2])] * 2, names=["x", "x"])
    folder = table(tmp_path / "b", {**COLUMNS, "more": pyarrow.ListArray.from_arrays([0, 1, 2], twice)})
    with pytest.raises(UnreadableFile, match=r"two of its columns have the same name: \['x', 'x'\]"):
        contents(folder, "prompt_response")


def test_a_time_inside_a_row_is_named(tmp_path: Path) -> None:
    turn = pyarrow.struct([("role", pyarrow.string()), ("content", pyarrow.string()), ("at", pyarrow.timestamp("ns"))])
    turns = [[{"role": "user", "content": "a", "at": 1}, {"role": "assistant", "content": "b", "at": 2}]]
    folder = table(tmp_path / "a", {"messages": pyarrow.array(turns, pyarrow.list_(turn))})
    with pytest.raises(BadRow, match="row 1: a time that cannot be read"):
        contents(folder, "messages")
    assert contents(folder, "messages", bad_rows="drop")[1].dropped == {"a time that cannot be read": 1}
    turns[0][0]["at"] = turns[0][1]["at"] = datetime(2020, 1, 1)  # type: ignore[assignment]
    folder = table(tmp_path / "b", {"messages": pyarrow.array(turns, pyarrow.list_(turn))})
    assert len(contents(folder, "messages")[0]) == 1


@pytest.mark.parametrize("kind", [pyarrow.large_string(), pyarrow.dictionary(pyarrow.int32(), pyarrow.string())])
def test_arrow_types_of_text(kind: pyarrow.DataType, tmp_path: Path) -> None:
    columns = {name: pyarrow.array(values).cast(kind) for name, values in COLUMNS.items()}
    assert len(contents(table(tmp_path / "a", columns), "prompt_response")[0]) == 2


def test_file_names_that_are_not_utf_8(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    name = os.fsdecode(b"r\xff\n.jsonl")
    (folder / name).write_text(f"{json.dumps(ROW)}\n7\n")
    split = {"validation": 0, "test": 0}
    splits, report = make_set(folder, tmp_path / "out", "prompt_response", bad_rows="drop", split=split)
    assert len(splits["train"]) == 1
    assert report["dropped"]["the row is not an object"]["first"] == ["r\\xff\\n.jsonl, line 2"]


def test_a_compressed_json_text_of_huge_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_JSON_BYTES", 1000)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "rows.json.gz").write_bytes(gzip.compress(b"[" + b" " * 10_000_000 + b"]"))
    with pytest.raises(UnreadableFile, match="one JSON text of more than 1000 bytes"):
        contents(tmp_path / "a", "prompt_response", bad_rows="drop")


@pytest.mark.parametrize(("title", "good"), [(None, True), ("", True), (0, False), ([], False), (False, False)])
def test_titles_of_flat_questions(title: Any, good: bool, tmp_path: Path) -> None:
    answers = [{"text": "b", "answer_start": 1}]
    row = {"title": title, "context": "abc", "question": "q?", "answers": answers, "is_impossible": None}
    folder = write_lines(tmp_path / "a", [row])
    if good:
        assert len(contents(folder, "squad")[0]) == 1
    else:
        with pytest.raises(BadRow, match="field 'title' of the row is not a text"):
            contents(folder, "squad")


def test_an_empty_line_before_one_that_is_too_long_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    good = json.dumps(ROW)
    long = json.dumps({**ROW, "more": "x" * 300})
    (tmp_path / "a" / "rows.jsonl").write_text(f"{good}\n\n{long}\n{good[:-1]} }}\n\n{long}\n\n")
    options = {"max_row_bytes": 200, "split": {"validation": 0, "test": 0, "equal_rows": "keep"}}
    splits, report = make_set(tmp_path / "a", tmp_path / "out", "prompt_response", bad_rows="drop", **options)
    assert len(splits["train"]) == 2
    assert report["dropped"] == {
        "the line is empty": {"count": 2, "first": ["rows.jsonl, line 2", "rows.jsonl, line 5"]},
        "the row is longer than max_row_bytes": {"count": 2, "first": ["rows.jsonl, line 3", "rows.jsonl, line 6"]},
    }
