"""Which test rows a training set holds: against a naive search, for any number of workers, in any cut into shards."""

import unicodedata
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.inspection import Looking
from tapeout.data.io.jsonl import write_jsonl
from tapeout.data.io.ngrams import ANY_WORD, ASCII_WORD, ngram_hashes, passage, spans_of, word_pattern
from tapeout.inspection.contamination import lines, search
from tapeout.inspection.index import build
from tapeout.inspection.overlap import unite
from tests.inspection.conftest import LOOKING, Write, document, question

pytestmark = pytest.mark.environment("data")

LOOKING13 = Looking()
NUMBERS = count()

texts = st.lists(st.sampled_from(["a", "B", "c1", "d_e", "=", "(", "é"]), max_size=14).map(" ".join)


@given(st.text(alphabet="ab_1=-(é \n\t", max_size=40), st.integers(1, 5))
def test_runs_know_no_white_space_no_capitals_and_no_length_of_a_line_of_marks(text: str, length: int) -> None:
    words = word_pattern(text).findall(text)
    expected = max(len(words) - length + 1, min(len(words), 1))
    assert len(ngram_hashes(text, length)) == expected
    spaced = "\n  ".join(words).upper()
    assert (ngram_hashes(spaced, length) == ngram_hashes(text, length)).all()
    assert (ngram_hashes(text.replace("=", "=="), length) == ngram_hashes(text, length)).all()


def test_a_passage_begins_and_ends_with_its_words() -> None:
    text = "  module fifo (input clk);  // end"
    start, end = passage(spans_of(text), 1, 3)
    assert text[start:end] == "fifo (input"
    assert passage(spans_of(text), 5, 60)[1] == len(text)


def held_naively(tests: Sequence[str], training: Sequence[str], looking: Looking) -> dict[str, set[int]]:
    """Numbers of the runs of each test text that some training text has; forms are not asked for here."""

    def words(text: str) -> list[str]:
        return [word.lower() for word in word_pattern(text).findall(text)]

    def windows(text: str) -> list[tuple[str, ...]]:
        found = words(text)
        last = max(len(found) - looking.words, 0)
        return [tuple(found[place : place + looking.words]) for place in range(last + 1)] if found else []

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


def test_the_words_of_a_row_are_numbered_once_for_all_test_rows(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(f"w{first + place}" for place in range(20)) for first in range(0, 400, 10)]
    folder = write("many", test=map(document, texts), train=[document("\n".join(texts)), document("none of it at all")])
    asked: list[str] = []
    monkeypatch.setattr("tapeout.inspection.contamination.spans_of", lambda text: asked.append(text) or spans_of(text))
    index = build(["t"], [folder / "test.jsonl"], LOOKING)
    found = search(folder / "train.jsonl", index, LOOKING, 1)
    assert len(found) == len(texts) and len(asked) == 1


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
    assert sorted((row.runs, row.short) for row in index.rows) == [(1, True), (3, False)]


def test_a_short_row_is_found_where_a_training_row_says_the_same_and_nothing_else(write: Write) -> None:
    tests = write("tests", test=[question("Sum of 2 and 2", "4"), document("alone"), document("\n")])
    index = build(["t"], [tests / "test.jsonl"], LOOKING13)
    for training, expected in (
        ([question("sum of  2 and 2", "4", "another group", "c2"), document("Alone")], 2),
        ([question("Sum of 2 and 2", "5"), document("not alone"), document("")], 0),
    ):
        folder = write(f"training{expected}", train=training)
        found = list(lines(search(folder / "train.jsonl", index, LOOKING13, 1), index))
        assert len(found) == expected
        assert all(row.short and row.share == 1 for row in unite(found).get("t", []))


def held_in(write: Write, tests: list[str], training: str) -> list[float]:
    """Shares of the test texts that a text has."""
    name = f"s{next(NUMBERS)}"
    folder = write(name, test=map(document, tests), train=[document(training)])
    index = build(["t"], [folder / "test.jsonl"], LOOKING13)
    return [row.share for row in unite(lines(search(folder / "train.jsonl", index, LOOKING13, 1), index)).get("t", [])]


SAID = "Où le “maître” d’école naïf — déçu — a-t-il caché l'œuvre de son élève? Là-bas, derrière la forêt."


@pytest.mark.parametrize(
    "looks",
    [
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: unicodedata.normalize("NFKC", text).upper(),
        lambda text: text.translate(str.maketrans("“”’—", '""\'-')),
        lambda text: text.replace(" ", "\u00a0\u2003"),
        lambda text: "\ufeff" + text.replace("a", "a\u200b").replace("é", "é\u00ad"),
        lambda text: "".join(chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else each for each in text),
    ],
)
def test_what_is_only_the_looks_of_a_text_hides_nothing(write: Write, looks: Callable[[str], str]) -> None:
    assert looks(SAID) != SAID
    assert held_in(write, [SAID], f"before {looks(SAID)} after") == [1]
    assert held_in(write, [looks(SAID)], f"before {SAID} after") == [1]


@pytest.mark.parametrize(
    "text",
    [
        "他在哪一年第一次获得诺贝尔物理学奖,为什么?",
        "เขาได้รับรางวัลโนเบลสาขาฟิสิกส์ครั้งแรกในปีใด",
        "最初にノーベル物理学賞を受賞したのはいつ",
    ],
)
def test_scripts_without_blanks_have_words(write: Write, text: str) -> None:
    assert held_in(write, [text], f"前{text}後") == [1]
    assert held_in(write, [text], f"前{text[: len(text) // 4]}後") == []


@given(st.text(st.characters(codec="ascii")))
def test_both_patterns_read_ascii_alike(text: str) -> None:
    assert ASCII_WORD.findall(text) == ANY_WORD.findall(text)


@given(st.text(), st.integers(1, 4))
def test_any_text_has_its_words_in_order_and_its_runs(text: str, length: int) -> None:
    spans = [match.span() for match in word_pattern(text).finditer(text)]
    assert all(start < end for start, end in spans) and spans == sorted(spans)
    assert len(ngram_hashes(text, length)) == max(len(spans) - length + 1, min(len(spans), 1))
    # joined, text beside it changes nothing of it
    assert set(ngram_hashes(text, length)[:1]) <= set(ngram_hashes(f"{text} {text}", length)) or len(spans) < length


def test_a_row_that_says_nothing_else_than_its_form_is_looked_for(write: Write) -> None:
    copied = "the very same answer stands in each of these thirty rows and in the training text as well"
    rows = [{**document(copied), "digest": sha256(str(number).encode()).hexdigest()} for number in range(30)]
    folder = write("copies", test=rows, train=[document(copied)])
    index = build(["t"], [folder / "test.jsonl"], LOOKING13)
    found = unite(lines(search(folder / "train.jsonl", index, LOOKING13, 1), index))
    assert [row.share for row in found["t"]] == [1] * 30


def test_rows_that_are_mostly_a_common_text_are_counted(write: Write) -> None:
    common = " ".join(f"word{number}" for number in range(60))
    rows = [document(f"{common} then what is it about number {number} here") for number in range(30)]
    folder = write("common", test=[*rows, document(common.replace("word", "other"))])
    index = build(["t"], [folder / "test.jsonl"], LOOKING13)
    assert sum(row.form for row in index.rows) == 30


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
