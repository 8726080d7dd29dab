"""Comparison of JSON documents, and the bounds of the level metrics."""

import json
from pathlib import Path
from typing import Any

import pytest

from tapeout.compare.file_comparison import Level, Unreadable
from tapeout.compare.values import ValuesDetail, compare_values, differences, parse
from tapeout.config.comparison import Bound, Bounds
from tapeout.config.load import load_bounds
from tapeout.config.problems import InvalidConfig


def changed(old: Any, new: Any) -> list[tuple[str, str]]:
    return [(change.name, change.state) for change in differences(old, new)]


@pytest.mark.parametrize(
    ("old", "new", "level"),
    [
        ('{"a": 1, "b": [1.50]}', '{"b":[1.5],"a":1}', Level.VALUES),
        ('{"loss": 2.0001}', '{"loss": 2.0002}', Level.METRICS),
        ('{"loss": 2.0}', '{"loss": 2.1}', Level.NONE),
        ('{"loss": 2.0}', '{"loss": 2}', Level.METRICS),
        ('{"rows": 20000}', '{"rows": 20001}', Level.NONE),  # whole numbers are counts
        ('{"x": 0.0}', '{"x": -0.0}', Level.METRICS),
        ('{"x": 1}', '{"x": true}', Level.NONE),
        ('{"x": "a"}', '{"x": "b"}', Level.NONE),
        ('{"x": 1.0}', '{"x": 1.0, "y": 1.0}', Level.NONE),
        ('{"x": 1.0}', '{"y": 1.0}', Level.NONE),
        ("[0.1, 0.2]", "[0.2, 0.1]", Level.NONE),
        ("[1.0]", "[1.0, 1.0]", Level.NONE),
        ('{"a": {"computed_from": {"base": "12"}}}', '{"a": {"computed_from": {"base": "34"}}}', Level.METRICS),
        ('{"a": {"computed_from": {"base": "12"}}}', '{"a": {"computed_from": {"other": "12"}}}', Level.NONE),
        ('{"a": {"computed_from": {"base": "12"}}}', '{"a": {"computed_from": {"base": 12}}}', Level.NONE),
    ],
)
def test_levels(old: str, new: str, level: Level) -> None:
    values = parse(old.encode(), "old"), parse(new.encode(), "new")
    assert compare_values(*values, Bounds(), None).level is level


def test_named_bounds_have_precedence() -> None:
    bounds = Bounds(named={"steps.*.loss": Bound(absolute=0.5), "*.loss": Bound(), "count": Bound(relative=0.1)})
    assert compare_values({"steps": [{"loss": 1.0}]}, {"steps": [{"loss": 1.4}]}, bounds, None).level is Level.METRICS
    assert compare_values({"last": {"loss": 1.0}}, {"last": {"loss": 1.0001}}, bounds, None).level is Level.NONE
    assert compare_values({"count": 100}, {"count": 109}, bounds, None).level is Level.METRICS


def test_an_inserted_item_changes_no_other() -> None:
    rows = [{"digest": str(number), "nats": number / 7} for number in range(50)]
    assert changed(rows, [*rows[:20], {"digest": "new", "nats": 0.0}, *rows[20:]]) == [("20", "added")]
    assert changed(rows, rows[1:]) == [("0", "removed")]
    assert changed([1, 2, 3, 4], [1, 9, 2, 3, 4]) == [("1", "added")]
    assert changed({"a": [[1], [2]]}, {"a": [[1], [3]]}) == [("a.1.0", "changed")]


def test_the_order_of_a_list_counts() -> None:
    rows = [{"id": number, "x": "same"} for number in range(3)]
    assert changed(rows, rows[::-1]) == [("0.id", "changed"), ("2.id", "changed")]
    assert changed([1, 2], [2, 1]) == [("0", "changed"), ("1", "changed")]


def test_values_outside_lists_come_first() -> None:
    comparison = compare_values({"a": [1.0, 2.0], "z": 3.0}, {"a": [5.0, 6.0], "z": 7.0}, Bounds(), limit=2)
    assert isinstance(comparison.detail, ValuesDetail) and comparison.detail.total == 3
    assert [(change.name, change.delta) for change in comparison.detail.changes] == [("z", 4.0), ("a.0", 4.0)]


@pytest.mark.parametrize(
    "text", ["{", "", "NaN", "1e999", '{"a": 1, "a": 2}', "[" * 5_000, '"\\ud800"', "9" * 30, "9" * 9_000, "\xff"]
)
def test_other_text_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match="the old file is not JSON"):
        parse(text.encode("latin1"), "the old file")


def test_every_depth_is_compared_or_refused() -> None:
    for depth in (*range(190, 210), *range(300, 1000, 10), 100_000):
        text = b"[" * depth + b"1" + b"]" * depth
        try:
            value = parse(text, "it")
        except Unreadable as error:
            assert depth > 200 and "nested too deeply" in error.cause
        else:
            assert depth <= 200
            assert compare_values(value, parse(text.replace(b"1", b"2"), "it"), Bounds(), 5).level is Level.NONE


def test_deeply_nested_documents() -> None:
    deep = "[" * 400 + "{}" + "]" * 400
    old, new = json.loads(deep.format("1")), json.loads(deep.format("2"))
    assert compare_values(old, new, Bounds(), None).level is not Level.BYTES


def test_bounds_are_merged_from_configuration_files(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("comparison: {floats: {relative: 0.5}, named: {a: {absolute: 1}}}\nother: 1\n")
    second.write_text("comparison: {floats: {absolute: 2}, tensors: 0.01}\n")
    bounds = load_bounds([first, second])
    assert bounds.floats == Bound(relative=0.5, absolute=2) and bounds.named["a"].absolute == 1
    assert bounds.tensors == 0.01 and load_bounds([]) == Bounds()


@pytest.mark.parametrize(
    "text", ["comparison: {fraction: 1}", "comparison: {tensors: -1}", "a: [", "- a", "comparison: 1", "\0"]
)
def test_invalid_bounds(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InvalidConfig):
        load_bounds([tmp_path / "config.yaml"])
