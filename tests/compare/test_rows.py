"""Comparison of JSON lines: rows added, removed, changed and moved."""

import json
import random
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from tapeout.compare.file_comparison import FileComparison, Level
from tapeout.compare.rows import RowsDetail, compare_rows
from tapeout.config.comparison import Bound, Bounds

WORDS = [
    "the",
    "width",
    "of",
    "a",
    "counter",
    "register",
    "module",
    "header",
    "port",
    "clock",
    "reset",
    "data",
    "valid",
    "ready",
    "output",
    "input",
    "wire",
]


def rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return rows in the form of instruction data."""
    draw = random.Random(seed)
    return [
        {"category": draw.choice("abc"), "input": " ".join(draw.choices(WORDS, k=20)), "output": f"{number} bit"}
        for number in range(count)
    ]


def lines(values: list[Any]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def found(folder: Path, old: str, new: str, bounds: Bounds | None = None, limit: int | None = None) -> FileComparison:
    (folder / "old.jsonl").write_text(old)
    (folder / "new.jsonl").write_text(new)
    return compare_rows(folder / "old.jsonl", folder / "new.jsonl", bounds or Bounds(), limit)


def detail(of: FileComparison) -> RowsDetail:
    assert isinstance(of.detail, RowsDetail)
    return of.detail


def counts(of: FileComparison) -> tuple[int, int, int, int]:
    return detail(of).added, detail(of).removed, detail(of).changed, detail(of).moved


def test_an_inserted_row_leaves_all_others_unchanged(tmp_path: Path) -> None:
    data = rows(1_000)
    result = found(tmp_path, lines(data), lines([*data[:5], rows(1, seed=9)[0], *data[5:]]))
    assert counts(result) == (1, 0, 0, 0)
    (row,) = detail(result).rows
    assert (row.state, row.old, row.new, row.row) == ("added", None, 6, rows(1, seed=9)[0])


def test_a_changed_row_is_found_by_similarity_at_any_position(tmp_path: Path) -> None:
    data = rows(200)
    new = [*data]
    new[10] = {**new[10], "output": "now something else"}
    new[150] = {**new[150], "input": new[150]["input"] + " twice"}
    new.insert(0, new.pop(150))
    result = found(tmp_path, lines(data), lines(new))
    assert counts(result) == (0, 0, 2, 0)
    positions = [(row.old, row.new, [field.name for field in row.fields]) for row in detail(result).rows]
    assert positions == [(11, 12, ["output"]), (151, 1, ["input"])]


def test_rows_of_equal_similarity_are_paired_by_position(tmp_path: Path) -> None:
    data = [{"text": row["input"]} for row in rows(50)]
    new = [*data]
    new[20] = {"text": new[20]["text"].replace("a", "the one", 1) + " more"}
    assert counts(found(tmp_path, lines(data), lines(new))) == (0, 0, 1, 0)
    new[20] = {"text": "nothing in common whatsoever"}
    assert counts(found(tmp_path, lines(data), lines(new))) == (1, 1, 0, 0)


def test_rows_are_paired_by_a_unique_key(tmp_path: Path) -> None:
    old = [{"id": 1, "x": "all of it"}, {"id": 2, "x": "b"}, {"id": 3, "x": "c"}]
    new = [{"id": 1, "x": "quite new"}, {"id": 3, "x": "c"}, {"id": 4, "x": "b"}]
    result = found(tmp_path, lines(old), lines(new))
    assert counts(result) == (1, 1, 1, 0)
    assert [(row.state, row.old, row.new) for row in detail(result).rows] == [
        ("changed", 1, 1),
        ("removed", 2, None),
        ("added", None, 3),
    ]


def test_rows_of_different_keys_are_never_one_changed_row(tmp_path: Path) -> None:
    """Ten samples of other problems are as similar as can be; only those of the same problem and number changed."""
    common = {"prompt": "0" * 64, "tokens": 9, "finished": True}

    def samples(names: str, text: str) -> str:
        return lines([{"name": name, "number": number, "text": text, **common} for name in names for number in (0, 1)])

    others = found(tmp_path, samples("abcde", "module m; endmodule"), samples("fghij", "module m; endmodule"))
    assert counts(others) == (10, 10, 0, 0)
    same = found(tmp_path, samples("abc", "module m"), samples("cba", "endmodule"))
    assert counts(same) == (0, 0, 6, 0)
    assert {field.name for row in detail(same).rows for field in row.fields} == {"text"}


def test_rows_of_the_same_content_are_paired_though_their_numbers_change(tmp_path: Path) -> None:
    old = [{**row, "path": f"a.jsonl:{number}", "digest": f"d{number}"} for number, row in enumerate(rows(9))]
    new = [{**row, "path": f"a.jsonl:{number}"} for number, row in enumerate([{"digest": "x", "input": "?"}, *old])]
    result = found(tmp_path, lines(old), lines(new))
    assert counts(result) == (1, 0, 9, 0)
    assert {field.name for change in detail(result).rows for field in change.fields} == {"path"}


def test_moved_rows(tmp_path: Path) -> None:
    data = rows(100)
    assert counts(found(tmp_path, lines(data), lines([*data[1:], data[0]]))) == (0, 0, 0, 1)
    twice = [data[0], data[0], data[1]]
    assert counts(found(tmp_path, lines(twice), lines([data[0], data[1]]))) == (0, 1, 0, 0)


def test_the_same_rows_written_differently_have_equal_values(tmp_path: Path) -> None:
    old = '{"a": 1, "b": "\\u00e9"}\n{"c": 2}\n'
    assert found(tmp_path, old, '{"b":"é","a":1}\n\n{"c":2}').level is Level.VALUES
    assert found(tmp_path, old, '{"c":2}\n{"b":"é","a":1}\n').level is Level.NONE
    assert found(tmp_path, old, '{"b":"é","a":1}\n{"c":2.0}\n').level is Level.METRICS


def test_moved_rows_never_reach_the_level_metrics(tmp_path: Path) -> None:
    old = [{"name": f"row {number} of the file", "loss": number / 3} for number in range(1, 9)]
    new = [{**row, "loss": row["loss"] * 1.01} for row in old]
    bounds = Bounds(named={"loss": Bound(relative=0.02)})
    assert found(tmp_path, lines(old), lines(new), bounds).level is Level.METRICS
    assert found(tmp_path, lines(old), lines(new), bounds, limit=1).level is Level.METRICS
    assert found(tmp_path, lines(old), lines(new)).level is Level.NONE
    assert found(tmp_path, lines(old), lines(new[1:] + new[:1]), bounds).level is Level.NONE
    new[-1]["loss"] *= 2
    assert found(tmp_path, lines(old), lines(new), bounds, limit=1).level is Level.NONE


def test_a_line_that_is_not_json_is_compared_as_text(tmp_path: Path) -> None:
    data = lines(rows(5))
    result = found(tmp_path, data + "{broken\n", data + "{broken again\n")
    assert result.level is Level.NONE and "line 6 of the old file is not JSON" in result.reason
    assert detail(result).rows[0].old == 6
    assert found(tmp_path, data, data + "\xff\0\n").level is Level.NONE
    assert counts(found(tmp_path, "", data)) == (5, 0, 0, 0)


def test_the_limit_does_not_change_the_counts(tmp_path: Path) -> None:
    data = rows(30)
    result = found(tmp_path, lines(data), lines([{**row, "category": "z"} for row in data]), limit=4)
    assert counts(result) == (0, 0, 30, 0) and len(detail(result).rows) == 4


@settings(max_examples=60, deadline=None)
@given(some.lists(some.integers(0, 5)), some.lists(some.integers(0, 5)))
def test_every_row_is_accounted_for(tmp_path_factory: Any, old: list[int], new: list[int]) -> None:
    folder = tmp_path_factory.mktemp("rows")
    result = found(folder, lines(old), lines(new))
    if old == new:
        assert result.level is Level.VALUES
    else:
        added, removed, changed, _ = counts(result)
        assert len(old) - removed == len(new) - added and changed == 0  # numbers share no words
        assert len(old) - removed == sum(min(old.count(number), new.count(number)) for number in set(old))
        assert result.level is Level.NONE
