"""Overlap with test rows: against a naive search, for any number of workers, in any division into shards."""

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

from tapeout.config.inspection import OverlapSettings
from tapeout.data.io.jsonl import write_jsonl
from tapeout.data.io.ngrams import ASCII_WORD, any_word, ngram_hashes, passage, spans_of, word_pattern
from tapeout.inspection.ngram_index import build
from tapeout.inspection.overlap import find_overlaps, overlap_lines, unite
from tests.inspection.conftest import SETTINGS, Write, document, question

pytestmark = pytest.mark.environment("data")

DEFAULT = OverlapSettings()
NUMBERS = count()

texts = st.lists(st.sampled_from(["a", "B", "c1", "d_e", "=", "(", "é"]), max_size=14).map(" ".join)


@given(st.text(alphabet="ab_1=-(é \n\t", max_size=40), st.integers(1, 5))
def test_ngrams_ignore_whitespace_case_and_the_length_of_a_line_of_marks(text: str, length: int) -> None:
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


def naive_overlaps(tests: Sequence[str], training: Sequence[str], settings: OverlapSettings) -> dict[str, set[int]]:
    """Return the positions of the n-grams of each test text that some training text has, without boilerplate."""

    def words(text: str) -> list[str]:
        return [word.lower() for word in word_pattern(text).findall(text)]

    def windows(text: str) -> list[tuple[str, ...]]:
        overlaps = words(text)
        last = max(len(overlaps) - settings.ngram_words, 0)
        return [tuple(overlaps[start : start + settings.ngram_words]) for start in range(last + 1)] if overlaps else []

    known = {window for text in training for window in windows(text)}
    return {text: {position for position, window in enumerate(windows(text)) if window in known} for text in tests}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(texts, min_size=1, max_size=5, unique=True), st.lists(texts, max_size=6, unique=True), st.integers(1, 3)
)
def test_the_search_equals_a_naive_one_in_any_division_into_shards(
    tests: list[str], training: list[str], cut: int
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_jsonl(folder / "test.jsonl", map(document, tests))
        index = build(["t"], [folder / "test.jsonl"], SETTINGS)
        assert len(index.rows) == len(tests)
        parts = []
        for number in range(cut):
            write_jsonl(folder / f"{number}.jsonl", map(document, training[number::cut]))
            parts.append(list(overlap_lines(find_overlaps(folder / f"{number}.jsonl", index, SETTINGS, 1), index)))
        write_jsonl(folder / "all.jsonl", map(document, training))
        whole = list(overlap_lines(find_overlaps(folder / "all.jsonl", index, SETTINGS, 1), index))
    united = unite(row for part in parts for row in part)
    assert united == unite(whole)
    overlaps = {
        row.digest: {position for first, last in row.ranges for position in range(first, last + 1)}
        for row in united.get("t", [])
    }
    naive = naive_overlaps(tests, training, SETTINGS)
    assert overlaps == {document(text)["digest"]: positions for text, positions in naive.items() if positions}


def test_the_result_does_not_depend_on_the_number_of_workers(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tapeout.inspection.overlap.BATCH", 200)
    secret = "assign grant = request & ~busy; // the answer to all of it"
    many = [document(f"row {number} says {secret} {number % 7}") for number in range(40)]
    training, tests = write("training", train=many), write("tests", test=[document(secret), document("nothing of it")])
    index = build(["t"], [tests / "test.jsonl"], SETTINGS)
    alone, together = (
        list(overlap_lines(find_overlaps(training / "train.jsonl", index, SETTINGS, workers), index))
        for workers in (1, 2)
    )
    assert alone == together
    (row,) = unite(alone)["t"]
    assert row.fraction == 1
    assert row.best["digest"] == min(match["digest"] for match in many)
    assert secret in row.best["passage"]


def test_the_words_of_a_row_are_located_once_for_all_test_rows(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [" ".join(f"w{first + index}" for index in range(20)) for first in range(0, 400, 10)]
    folder = write("many", test=map(document, texts), train=[document("\n".join(texts)), document("none of it at all")])
    asked: list[str] = []
    monkeypatch.setattr("tapeout.inspection.overlap.spans_of", lambda text: asked.append(text) or spans_of(text))
    index = build(["t"], [folder / "test.jsonl"], SETTINGS)
    overlaps = find_overlaps(folder / "train.jsonl", index, SETTINGS, 1)
    assert len(overlaps) == len(texts) and len(asked) == 1


def test_boilerplate_does_not_count(write: Write) -> None:
    form = "Below is an instruction that describes a task."
    rows = [question(f"{form} Name number {number} of the list {number}.", f"it is {number}") for number in range(30)]
    tests = write("tests", test=rows)
    training = write("training", train=[question(form, "another answer")])
    settings = OverlapSettings(ngram_words=4, common_rows=20, common_fraction=0.05)
    index = build(["t"], [tests / "test.jsonl"], settings)
    assert find_overlaps(training / "train.jsonl", index, settings, 1) == {}
    more = OverlapSettings(ngram_words=4, common_rows=30)
    overlaps = find_overlaps(training / "train.jsonl", build(["t"], [tests / "test.jsonl"], more), more, 1)
    assert len(overlaps) == 30


def test_a_row_that_is_too_short_is_marked(write: Write) -> None:
    tests = write("tests", test=[document("two words"), document("as many words as it takes")])
    index = build(["t"], [tests / "test.jsonl"], SETTINGS)
    assert sorted((row.ngrams, row.short) for row in index.rows) == [(1, True), (3, False)]


def test_a_short_row_overlaps_with_an_equal_training_row_only(write: Write) -> None:
    tests = write("tests", test=[question("Sum of 2 and 2", "4"), document("alone"), document("\n")])
    index = build(["t"], [tests / "test.jsonl"], DEFAULT)
    for training, expected in (
        ([question("sum of  2 and 2", "4", "another group", "c2"), document("Alone")], 2),
        ([question("Sum of 2 and 2", "5"), document("not alone"), document("")], 0),
    ):
        folder = write(f"training{expected}", train=training)
        overlaps = list(overlap_lines(find_overlaps(folder / "train.jsonl", index, DEFAULT, 1), index))
        assert len(overlaps) == expected
        assert all(row.short and row.fraction == 1 for row in unite(overlaps).get("t", []))


def fractions_in(write: Write, tests: list[str], training: str) -> list[float]:
    """Return the fractions of the test texts that a text contains."""
    name = f"s{next(NUMBERS)}"
    folder = write(name, test=map(document, tests), train=[document(training)])
    index = build(["t"], [folder / "test.jsonl"], DEFAULT)
    return [
        row.fraction
        for row in unite(overlap_lines(find_overlaps(folder / "train.jsonl", index, DEFAULT, 1), index)).get("t", [])
    ]


SAID = "Où le “maître” d’école naïf — déçu — a-t-il caché l'œuvre de son élève? Là-bas, derrière la forêt."


@pytest.mark.parametrize(
    "looks",
    [
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: unicodedata.normalize("NFKC", text).upper(),
        lambda text: text.translate(str.maketrans("“”’—", '""\'-')),
        lambda text: text.replace(" ", "\u00a0\u2003"),
        lambda text: "\ufeff" + text.replace("a", "a\u200b").replace("é", "é\u00ad"),
        lambda text: "".join(chr(ord(mark) + 0xFEE0) if "!" <= mark <= "~" else mark for mark in text),
    ],
)
def test_typography_hides_nothing(write: Write, looks: Callable[[str], str]) -> None:
    assert looks(SAID) != SAID
    assert fractions_in(write, [SAID], f"before {looks(SAID)} after") == [1]
    assert fractions_in(write, [looks(SAID)], f"before {SAID} after") == [1]


@pytest.mark.parametrize(
    "text",
    [
        "他在哪一年第一次获得诺贝尔物理学奖,为什么?",
        "เขาได้รับรางวัลโนเบลสาขาฟิสิกส์ครั้งแรกในปีใด",
        "最初にノーベル物理学賞を受賞したのはいつ",
    ],
)
def test_scripts_without_spaces_have_words(write: Write, text: str) -> None:
    assert fractions_in(write, [text], f"前{text}後") == [1]
    assert fractions_in(write, [text], f"前{text[: len(text) // 4]}後") == []


@given(st.text(st.characters(codec="ascii")))
def test_both_patterns_read_ascii_alike(text: str) -> None:
    assert ASCII_WORD.findall(text) == any_word().findall(text)


@given(st.text(), st.integers(1, 4))
def test_any_text_has_its_words_in_order_and_its_ngrams(text: str, length: int) -> None:
    spans = [match.span() for match in word_pattern(text).finditer(text)]
    assert all(start < end for start, end in spans) and spans == sorted(spans)
    assert len(ngram_hashes(text, length)) == max(len(spans) - length + 1, min(len(spans), 1))
    # joined, text beside it changes nothing of it
    assert set(ngram_hashes(text, length)[:1]) <= set(ngram_hashes(f"{text} {text}", length)) or len(spans) < length


def test_a_row_of_boilerplate_only_is_searched_for(write: Write) -> None:
    copied = "the very same answer stands in each of these thirty rows and in the training text as well"
    rows = [{**document(copied), "digest": sha256(str(number).encode()).hexdigest()} for number in range(30)]
    folder = write("copies", test=rows, train=[document(copied)])
    index = build(["t"], [folder / "test.jsonl"], DEFAULT)
    overlaps = unite(overlap_lines(find_overlaps(folder / "train.jsonl", index, DEFAULT, 1), index))
    assert [row.fraction for row in overlaps["t"]] == [1] * 30


def test_rows_that_are_mostly_a_common_text_are_counted(write: Write) -> None:
    common = " ".join(f"word{number}" for number in range(60))
    rows = [document(f"{common} then what is it about number {number} here") for number in range(30)]
    folder = write("common", test=[*rows, document(common.replace("word", "other"))])
    index = build(["t"], [folder / "test.jsonl"], DEFAULT)
    assert sum(row.boilerplate for row in index.rows) == 30


def test_a_set_of_several_files_is_one(write: Write) -> None:
    folder = write("b", train=[document("one two three four")], test=[document("five six seven eight")])
    index = build(["b", "b"], [folder / "train.jsonl", folder / "test.jsonl"], SETTINGS)
    assert {row.set for row in index.rows} == {"b"}
    assert len(index.rows) == 2


def test_conversations_are_compared_by_their_turns(write: Write) -> None:
    said = [
        {"from": "User", "value": "How wide is the bus here?"},
        {"from": "Assistant", "value": "It is 32 bits wide."},
    ]
    chat = {"conversations": said, "source": "s", "licence": "MIT", "digest": "0" * 64}
    tests = write("tests", test=[chat])
    training = write("training", train=[document("he asked: how wide is the bus here? it is 32 bits wide. yes")])
    index = build(["t"], [tests / "test.jsonl"], SETTINGS)
    ((_, overlaps),) = find_overlaps(training / "train.jsonl", index, SETTINGS, 1).items()
    assert len(overlaps.positions) == index.rows[0].ngrams
    assert orjson.dumps(next(overlap_lines({0: overlaps}, index)))
