"""Inspections of small sets, and the page that shows them."""

import html
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.config.inspection import InspectJob, ReportJob
from tapeout.data.encode.prompt import encode_example
from tapeout.data.io.jsonl import MalformedRow, write_json, write_jsonl
from tapeout.data.io.ngrams import word_pattern
from tapeout.inspection.data_summary import add, gather
from tapeout.inspection.inspect import inspect
from tapeout.inspection.tokens import Tokens
from tapeout.report.data.excerpt import marked
from tapeout.report.data.page import histogram, numbers, page, piece, top
from tests.inspection.conftest import TEMPLATE, Write, document, question

pytestmark = pytest.mark.environment("data")

HELD = "assign <grant> = request & ~busy; // said in the training text too, word by word"


def job(name: str, tests: tuple[str, ...], **changed: Any) -> InspectJob:
    return InspectJob(name=name, tests=tests, template=TEMPLATE, seq_length=64, **{"words": 5, "samples": 3, **changed})


@pytest.fixture
def made(write: Write, model: Path, tmp_path: Path) -> tuple[list[Path], list[Path], ReportJob]:
    """Two sets, inspected; the test side of one stands in the training side of the other."""
    corpus = write("corpus/domain", train=[document(f"before {HELD} after")], test=[document("all of it is new to us")])
    long = question("word " * 100, "too long")
    splits = write(
        "instructions/splits",
        train=[question("How wide is a?", "wire [3:0] a;", category="width"), question("Which one?", "it", "h"), long],
        validation=[question("How many?", "3", "i")],
        test=[question(HELD, "yes", "j")],
    )
    tests, names = [corpus / "test.jsonl", splits / "test.jsonl"], ("corpus/domain", "instructions/splits")
    inspected = [tmp_path / "inspected" / str(number) for number in range(2)]
    inspected[0].parent.mkdir()
    for name, rows, output in zip(names, (corpus, splits), inspected, strict=True):
        inspect(rows, None, tests, model, job(name, names), output, 1)
    part = {"documents": 1}
    write_json(corpus / "report.json", {"sources": {}, "train": part, "test": part})
    write_json(splits / "report.json", {"rows": {"train": {"a": 3}}, "dropped": {"same": 1}})
    looking = {"words": 5, "samples": 3}
    whole = {"looking": looking, "sets": names, "tests": names, "steps": names, "trained": names}
    return inspected, tests, ReportJob.model_validate(whole)


def reports(tests: list[Path]) -> list[Path]:
    return [test.with_name("report.json") for test in tests]


def test_rows_are_counted_as_the_training_reads_them(
    made: tuple[list[Path], list[Path], ReportJob], model: Path
) -> None:
    measures = orjson.loads((made[0][1] / "measures.json").read_bytes())
    train = measures["sides"]["train"]
    tokens = Tokens(model, job("x", ()))
    rows = [("How wide is a?", "wire [3:0] a;"), ("Which one?", "it")]
    encoded = [encode_example(tokens.encoder, TEMPLATE, *row) for row in rows]
    assert (train["rows"], train["left out"], train["without target"]) == (3, 1, 0)
    assert train["tokens"] == sum(len(ids) for ids, _ in encoded)
    assert train["trained"] == sum(sum(mask) for _, mask in encoded)
    assert train["categories"] == {"width": 1, "c": 2}
    assert sum(train["lengths"].values()) == 2
    assert train["licences"] == {"MIT": 3}


def test_the_page_shows_the_row_that_is_held_and_what_stops(made: tuple[list[Path], list[Path], ReportJob]) -> None:
    inspected, tests, report_job = made
    whole = gather(inspected, reports(tests), report_job)
    text = page(whole, report_job, tests)
    assert text == page(gather(inspected, reports(tests), report_job), report_job, tests)
    assert "1 of 12 gates stop the trainings" in text
    assert f"<mark>{html.escape(HELD)}</mark>" in text
    assert "instructions/splits in corpus/domain" in text
    assert "http" not in text
    found = numbers(whole, report_job)
    assert found["contamination"]["corpus/domain"]["instructions/splits"]["held"] == 1
    assert [gate["subject"] for gate in found["gates"] if not gate["passed"]] == [
        "test rows of instructions/splits in corpus/domain"
    ]


def test_what_data_says_is_text_on_the_page(write: Write, model: Path, tmp_path: Path) -> None:
    evil = "<script>alert('&')</script>"
    said = f"{HELD} {evil}"
    rows = [
        {**document(said, source=evil), "path": evil, "licence": evil},
        {**question(said, evil, evil, evil), "source": evil},
    ]
    folder = write("corpus/domain", train=rows, validation=rows, test=rows)
    write_json(
        folder / "report.json",
        {"sources": {evil: {"dropped": {evil: 1}, "repaired": {evil: 1}}}}
        | {side: {"documents": 1} for side in ("train", "test")},
    )
    tests = [folder / "test.jsonl"]
    inspect(folder, None, tests, model, job("corpus/domain", (evil,)), tmp_path / "made", 1)
    whole = {
        "looking": {"words": 5},
        "sets": ["corpus/domain"],
        "tests": [evil],
        "steps": ["corpus/domain"],
        "trained": [],
    }
    report_job = ReportJob.model_validate(whole)
    text = page(gather([tmp_path / "made"], [folder / "report.json"], report_job), report_job, tests)
    assert "<script" not in text and "&lt;script&gt;" in text


def test_empty_test_sets_and_sets_without_a_row_that_trains_have_a_page(
    write: Write, model: Path, tmp_path: Path
) -> None:
    folder = write("instructions/splits", train=[question("word " * 100, "too long")], validation=[], test=[])
    write_json(folder / "report.json", {"rows": {"train": {"c": 1}}, "dropped": {}})
    shard = write("shard", documents=[])
    sets = ["instructions/splits", "pretraining/shards/0000"]
    for name, rows in zip(sets, (folder, shard), strict=True):
        inspect(
            rows,
            None,
            [folder / "test.jsonl"],
            model,
            job(name, (sets[0],)),
            tmp_path / f"made-{name.partition('/')[0]}",
            2,
        )
    whole = {"looking": {"words": 5}, "sets": sets, "tests": sets[:1], "steps": sets[:1], "trained": []}
    report_job = ReportJob.model_validate(whole)
    inspected = [tmp_path / f"made-{name.partition('/')[0]}" for name in sets]
    found = gather(inspected, [folder / "report.json"], report_job)
    assert "no rows" in page(found, report_job, [folder / "test.jsonl"])
    assert numbers(found, report_job)["contamination"]["pretraining"] == {}
    assert all(gate.share == gate.share for gate in found.gates)


def test_the_loss_mask_view_shows_each_token_with_its_mask(
    made: tuple[list[Path], list[Path], ReportJob], model: Path
) -> None:
    inspected, tests, report_job = made
    whole = gather(inspected, reports(tests), report_job)
    shown = {row["category"]: row["pieces"] for row in whole.samples["instructions/splits"]}
    assert [bit for _, bit in shown["width"]].count(1) > 1
    trained = "".join(piece(text) for text, bit in shown["width"] if bit)
    assert trained.strip() == "wire [3:0] a;</s>"
    assert '<span class="loss">' in page(whole, report_job, tests)
    assert all(bit for _, bit in whole.samples["corpus/domain"][0]["pieces"])


def test_an_imported_source_is_shown_with_the_masks_that_its_encoding_has(
    write: Write, model: Path, tmp_path: Path
) -> None:
    rows = [question("How wide is a?", "wire a;"), question("left out", "by the encoding")]
    folder = write("instructions/x", train=rows, validation=[], test=[])
    ids = [1, 20, 21, 22, 2]
    encoded = write("encoded/x", validation=[], test=[])
    write_jsonl(
        encoded / "train.jsonl",
        [{"ids": ids, "mask": [0, 0, 1, 1, 1], "digest": rows[0]["digest"], "category": "c"}],
    )
    inspect(
        folder,
        encoded,
        [folder / "test.jsonl"],
        model,
        job("instructions/x", ("instructions/x",)),
        tmp_path / "made",
        1,
    )
    measures = orjson.loads((tmp_path / "made" / "measures.json").read_bytes())
    train = measures["sides"]["train"]
    assert (train["rows"], train["left out"], train["tokens"], train["trained"]) == (2, 1, 5, 3)
    (sample,) = map(orjson.loads, (tmp_path / "made" / "samples.jsonl").read_bytes().splitlines())
    assert [bit for _, bit in sample["pieces"]] == [0, 0, 1, 1, 1]


def test_samples_depend_on_the_rows_alone(write: Write, model: Path, tmp_path: Path) -> None:
    rows = [question(f"Question {number}?", "yes", category="ab"[number % 2]) for number in range(12)]
    made = []
    for name, order in (("one", rows), ("other", rows[::-1])):
        folder = write(name, train=order, validation=[], test=[])
        inspect(folder, None, [], model, job(name, ()), tmp_path / f"{name}-made", 1)
        made.append((tmp_path / f"{name}-made" / "samples.jsonl").read_bytes())
    assert made[0] == made[1]
    assert {orjson.loads(line)["category"] for line in made[0].splitlines()} == {"a", "b"}


def imported(write: Write, count: int) -> tuple[Path, Path]:
    """An imported source in the order of its digests, and its token ids, of which every third row is missing."""
    sides = {}
    for side in ("train", "validation", "test"):
        rows = [
            question(f"Question {side} {number} of the list?", "yes", category="ab"[number % 2])
            for number in range(count)
        ]
        sides[side] = sorted(rows, key=lambda row: row["digest"])
    fitting = {
        side: [
            {"ids": [1, number + 5, 2], "mask": [0, 1, 1], "digest": row["digest"], "category": "c"}
            for number, row in enumerate(rows)
            if number % 3
        ]
        for side, rows in sides.items()
    }
    return write("instructions/y", **sides), write("encoded/y", **fitting)


def test_any_number_of_processes_and_any_pieces_make_the_same(
    write: Write, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, encoded = imported(write, 20)
    texts = write("corpus", train=[document(f"text {number} {HELD}") for number in range(20)], test=[document(HELD)])
    tests = [folder / "test.jsonl", texts / "test.jsonl"]
    for name, rows, ids in (("instructions/y", folder, encoded), ("corpus", texts, None)):
        made = []
        for workers, batch in ((1, 2**22), (1, 100), (3, 300)):
            monkeypatch.setattr("tapeout.inspection.scan.BATCH", batch)
            output = tmp_path / f"{workers}-{batch}-{len(name)}"
            inspect(rows, ids, tests, model, job(name, ("instructions/y", "corpus")), output, workers)
            made.append({path.name: path.read_bytes() for path in output.iterdir()})
        assert made[0] == made[1] == made[2]
        train = orjson.loads(made[0]["measures.json"])["sides"]["train"]
        assert (train["rows"], train.get("left out", 0)) == (20, 7 if ids else 0)


def test_a_row_that_the_encoding_left_out_takes_no_place_in_the_view(write: Write, model: Path, tmp_path: Path) -> None:
    folder, encoded = imported(write, 9)
    inspect(folder, encoded, [], model, job("instructions/y", (), samples=6), tmp_path / "made", 1)
    shown = [orjson.loads(line)["digest"] for line in (tmp_path / "made" / "samples.jsonl").read_bytes().splitlines()]
    known = [orjson.loads(line)["digest"] for line in (encoded / "train.jsonl").read_bytes().splitlines()]
    assert sorted(shown) == known and len(known) == 6


def test_an_encoded_row_of_no_row_is_named(write: Write, model: Path, tmp_path: Path) -> None:
    folder, encoded = imported(write, 9)
    write_jsonl(encoded / "test.jsonl", [{"ids": [1, 2], "mask": [0, 1], "digest": "0" * 64, "category": "c"}])
    with pytest.raises(MalformedRow, match="line 1: .*test.jsonl has no such row here"):
        inspect(folder, encoded, [], model, job("instructions/y", ()), tmp_path / "made", 1)
    assert not (tmp_path / "made").exists()


def test_shards_are_counted_together(write: Write, model: Path, tmp_path: Path) -> None:
    texts = ["one two three", "four five six seven", "eight"]
    parts = []
    for number, text in enumerate(texts):
        folder = write(f"shard{number}", documents=[document(text, source=f"s{number % 2}")])
        inspect(folder, None, [], model, job("pretraining/shards/0000", ()), tmp_path / str(number), 1)
        parts.append(orjson.loads((tmp_path / str(number) / "measures.json").read_bytes()))
    train = add(parts)["sides"]["train"]
    assert train["rows"] == 3
    assert train["sources"] == {"s0": 2, "s1": 1}
    assert train["tokens"] == sum(part["sides"]["train"]["tokens"] for part in parts)


@given(st.text(alphabet="ab =(\n<", max_size=60), st.data())
def test_what_is_marked_is_the_held_words_and_no_character_is_lost(text: str, data: st.DataObject) -> None:
    words = list(word_pattern(text).finditer(text))
    if len(words) < 2:
        return
    first = data.draw(st.integers(0, len(words) - 2))
    last = data.draw(st.integers(first, len(words) - 2))
    pieces = marked(text, ((first, last),), 2)
    assert "".join(part.text for part in pieces if part.held) == text[words[first].start() : words[last + 1].end()]
    assert "".join(part.text for part in pieces) == text


def test_a_long_text_is_shown_from_before_what_is_held() -> None:
    text = "x " * 2000 + "the held part of it" + " y" * 2000
    pieces = marked(text, ((2000, 2003),), 2)
    shown = "".join(part.text for part in pieces)
    assert shown.startswith("… ") and shown.endswith(" …") and len(shown) < 1000
    assert [part.text for part in pieces if part.held] == ["the held part of it"]


def test_tables_and_bars_lose_nothing() -> None:
    counts = {f"k{number}": number for number in range(1, 30)}
    assert sum(number for _, number in top(counts)) == sum(counts.values())
    assert histogram({"16": 2, "64": 4}) == [(16, 2, 0.5), (32, 0, 0.0), (64, 4, 1.0)]
