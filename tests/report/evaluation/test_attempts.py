"""Attempts: their order, the examples among them, and the data of the page, which fits and holds hostile texts."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.evals.section import Answered, Kind, Mismatch
from tapeout.report.evaluation.attempt_data import page_data
from tapeout.report.evaluation.attempts import KINDS, TaskAttempts, attempts_of, examples_of
from tests.report.evaluation.conftest import digest

pytestmark = pytest.mark.environment("data")
MODELS = ("base", "sft")
HOSTILE = '</script><img src=x onerror=alert(1)><!-- \u2028 \u202e \ud800 \\ " \x1b'
texts = st.text(max_size=9) | st.sampled_from(["", HOSTILE, "<h2>a</h2>"])
answers = st.builds(
    Answered,
    answer=texts,
    code=texts,
    message=texts,
    kind=st.sampled_from(KINDS),
    facts=st.dictionaries(texts, texts, max_size=2),
    **{name: st.just(name) for name in ("asked", "expected", "category")},
    mismatch=st.none() | st.just(Mismatch("q", "1", "0", 7)),
)


def answered(kinds: Sequence[Kind], category: str = "a_b", **more: Any) -> dict[str, Answered]:
    return {
        digest(f"{category}{index}"): Answered("asked", "expected", "answer", kind, category, **more)
        for index, kind in enumerate(kinds)
    }


def group(base: dict[str, Answered], sft: dict[str, Answered]) -> TaskAttempts:
    return attempts_of("task", "Task", "sft", {"base": base, "sft": sft})


def test_some_of_each_category_and_kind_come_first() -> None:
    sft = answered(["failure"] * 5 + ["near miss"] * 2 + ["exact"]) | answered(["failure", "exact"], "c")
    found = group(answered(["failure"] * 9), sft)
    assert [(one.title, one.kind, one.turn) for one in found.attempts[:6]] == [
        *(("a b", kind, 0) for kind in KINDS),
        ("a b", None, 0),
        *(("c", kind, 0) for kind in ("exact", "failure")),
    ]
    assert [one.turn for one in found.attempts] == sorted(one.turn for one in found.attempts)
    [words, other] = examples_of(found, 2)
    assert words.counts == {"exact": 1, "near miss": 2, "failure": 5} and other.title == "c"
    assert [example.kind for example in words.examples] == ["exact", *["near miss"] * 2, *["failure"] * 2]
    assert [one.examples for one in examples_of(found, 0)] == [[], []]


@settings(deadline=None)
@given(st.lists(st.tuples(answers, st.none() | answers), min_size=1, max_size=5))
def test_the_data_has_every_text_once_and_nothing_that_ends_a_script(units: list[tuple[Answered, Any]]) -> None:
    base = {digest(f"{index}"): one for index, (one, _) in enumerate(units)}
    sft = {digest(f"{index}"): one for index, (_, one) in enumerate(units) if one is not None}
    data = page_data([group(base, sft)], MODELS)
    assert "<" not in data.text and not set(data.text) & set("\u2028\u202e\x1b\ud800")
    document = json.loads(data.text)
    known = document["texts"]
    by_digest = {row[1]: row for row in document["rows"]}
    for own, other in zip(base, [sft.get(one) for one in base], strict=True):
        row = by_digest[own[:16]]
        assert [known[text] for text in row[2:7]] == ["category", "", "asked", "expected", ""]
        for shown, one in zip(row[7], (base[own], other), strict=True):
            assert (shown is None) == (one is None)
            if one is not None:
                assert KINDS[shown[0]] == one.kind and known[shown[4]].count("<img") == one.answer.count("<img")
                assert len(shown[6]) == 2 * len(one.facts) and (shown[7] is None) == (one.mismatch is None)
                assert shown[7] is None or [known[text] for text in shown[7]] == ["q", "1", "0", "7"]


@pytest.mark.parametrize(("limit", "shown", "length"), [(10**6, 40, None), (60_000, 40, 500), (9_000, 13, 250)])
def test_a_large_page_has_shorter_texts_then_fewer_attempts(limit: int, shown: int, length: int | None) -> None:
    """About 620 bytes for an attempt with two texts of 250 characters."""
    long = {key: replace(one, answer=key * 20) for key, one in answered(["failure"] * 40).items()}
    longer = {key: replace(one, answer=f"{one.answer}!") for key, one in long.items()}
    data = page_data([group(long, longer)], MODELS, limit)
    assert len(data.text.encode()) <= limit and (data.shown, data.total, data.length) == (shown, 40, length)
    document = json.loads(data.text)
    assert len(document["rows"]) == data.shown and page_data([group(long, longer)], MODELS, limit) == data
    used = {text for row in document["rows"] for one in row[7] for text in (*row[2:7], *one[1:6])}
    assert max(used) < len(document["texts"])
    if length is not None:
        assert f"… [{1280 - length:,} more characters]" in document["texts"][row_answer(document)]


def row_answer(document: dict[str, Any]) -> int:
    """Return the number of the first answer."""
    number: int = document["rows"][0][7][0][4]
    return number


def test_links_tell_units_apart_whose_digests_begin_alike() -> None:
    alike = {f"{'a' * 20}{index}": one for index, one in enumerate(answered(["exact"] * 3).values())}
    rows = json.loads(page_data([group(alike, alike)], MODELS).text)["rows"]
    assert sorted(row[1] for row in rows) == sorted(alike)
