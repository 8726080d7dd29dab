"""Which test rows a training set holds: against a naive search, for any number of workers, in any cut into shards."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.inspection import Looking
from tapeout.data.jsonl import write_jsonl
from tapeout.data.runs import WORD, passage, runs
from tapeout.inspection.contamination import lines, search
from tapeout.inspection.held import unite
from tapeout.inspection.index import build
from tests.inspection.conftest import LOOKING, Write, document, question

texts = st.lists(st.sampled_from(["a", "B", "c1", "d_e", "=", "(", "é"]), max_size=14).map(" ".join)


@given(st.text(alphabet="ab_1=-(é \n\t", max_size=40), st.integers(1, 5))
def test_runs_know_no_white_space_no_capitals_and_no_length_of_a_line_of_marks(text: str, length: int) -> None:
    words = WORD.findall(text)
    expected = max(len(words) - length + 1, 0)
    assert len(runs(text, length)) == expected
    spaced = "\n  ".join(words).upper()
    assert (runs(spaced, length) == runs(text, length)).all()
    assert (runs(text.replace("=", "=="), length) == runs(text, length)).all()


def test_a_passage_begins_and_ends_with_its_words() -> None:
    text = "  module fifo (input clk);  // end"
    start, end = passage(text, 1, 3)
    assert text[start:end] == "fifo (input"
    assert passage(text, 5, 60)[1] == len(text)


def held_naively(tests: Sequence[str], training: Sequence[str], looking: Looking) -> dict[str, set[int]]:
    """Numbers of the runs of each test text that some training text has; forms are not asked for here."""

    def words(text: str) -> list[str]:
        return [word.lower() for word in WORD.findall(text)]

    def windows(text: str) -> list[tuple[str, ...]]:
        found = words(text)
        return [tuple(found[place : place + looking.words]) for place in range(len(found) - looking.words + 1)]

    known = {window for text in training for window in windows(text)}
    return {text: {place for place, window in enumerate(windows(text)) if window in known} for text in tests}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(texts, min_size=1, max_size=5, unique=True), st.lists(texts, max_size=6, unique=True), st.integers(1, 3)
)
def test_the_search_finds_what_a_naive_one_finds_however_the_training_rows_are_cut(
    tests: list[str], training: list[str], cut: int
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_jsonl(folder / "test.jsonl", map(document, tests))
        index = build(["t"], [folder / "test.jsonl"], LOOKING)
        assert len(index.rows) == len(tests)
        parts = []
        for number in range(cut):
            write_jsonl(folder / f"{number}.jsonl", map(document, training[number::cut]))
            parts.append(list(lines(search(folder / f"{number}.jsonl", index, LOOKING, 1), index)))
        write_jsonl(folder / "all.jsonl", map(document, training))
        whole = list(lines(search(folder / "all.jsonl", index, LOOKING, 1), index))
    united = unite(row for part in parts for row in part)
    assert united == unite(whole)
    found = {
        row.digest: {place for first, last in row.runs for place in range(first, last + 1)}
        for row in united.get("t", [])
    }
    naive = held_naively(tests, training, LOOKING)
    assert found == {document(text)["digest"]: places for text, places in naive.items() if places}


def test_any_number_of_workers_finds_the_same(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapeout.inspection.contamination.BATCH", 200)
    secret = "assign grant = request & ~busy; // the answer to all of it"
    many = [document(f"row {number} says {secret} {number % 7}") for number in range(40)]
    training, tests = write("training", train=many), write("tests", test=[document(secret), document("nothing of it")])
    index = build(["t"], [tests / "test.jsonl"], LOOKING)
    alone, together = (
        list(lines(search(training / "train.jsonl", index, LOOKING, workers), index)) for workers in (1, 2)
    )
    assert alone == together
    (row,) = unite(alone)["t"]
    assert row.share == 1
    assert row.best["digest"] == min(each["digest"] for each in many)
    assert secret in row.best["passage"]


def test_what_many_rows_share_is_form_and_counts_for_nothing(write: Write) -> None:
    form = "Below is an instruction that describes a task."
    rows = [question(f"{form} Name number {number} of the list {number}.", f"it is {number}") for number in range(30)]
    tests = write("tests", test=rows)
    training = write("training", train=[question(form, "another answer")])
    looking = Looking(words=4, common_rows=20, common_share=0.05)
    index = build(["t"], [tests / "test.jsonl"], looking)
    assert search(training / "train.jsonl", index, looking, 1) == {}
    more = Looking(words=4, common_rows=30)
    found = search(training / "train.jsonl", build(["t"], [tests / "test.jsonl"], more), more, 1)
    assert len(found) == 30


def test_a_row_that_is_too_short_is_said_to_be(write: Write) -> None:
    tests = write("tests", test=[document("two words"), document("as many words as it takes")])
    index = build(["t"], [tests / "test.jsonl"], LOOKING)
    assert sorted(row.runs for row in index.rows) == [0, 3]


def test_a_set_of_several_files_is_one(write: Write) -> None:
    folder = write("b", train=[document("one two three four")], test=[document("five six seven eight")])
    index = build(["b", "b"], [folder / "train.jsonl", folder / "test.jsonl"], LOOKING)
    assert {row.set for row in index.rows} == {"b"}
    assert len(index.rows) == 2


def test_conversations_are_compared_by_what_is_said(write: Write) -> None:
    said = [
        {"from": "User", "value": "How wide is the bus here?"},
        {"from": "Assistant", "value": "It is 32 bits wide."},
    ]
    chat = {"conversations": said, "source": "s", "licence": "MIT", "digest": "0" * 64}
    tests = write("tests", test=[chat])
    training = write("training", train=[document("he asked: how wide is the bus here? it is 32 bits wide. yes")])
    index = build(["t"], [tests / "test.jsonl"], LOOKING)
    ((_, held),) = search(training / "train.jsonl", index, LOOKING, 1).items()
    assert len(held.runs) == index.rows[0].runs
    assert orjson.dumps(next(lines({0: held}, index)))
