"""Inspection of small sets: counts, samples, and independence of the number of processes."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from tapeout.config.inspection import InspectJob
from tapeout.config.instructions import EncodeJob, Prompt
from tapeout.data.encode.encoded_set import encode_set
from tapeout.data.errors import BadRow
from tapeout.data.io.jsonl import write_jsonl
from tapeout.encoder.load import load_encoder
from tapeout.inspection.control_names import ControlNames
from tapeout.inspection.data_summary import add_measures
from tapeout.inspection.inspect import inspect, piece_text
from tests.inspection.conftest import TEMPLATE, Write, document, question

pytestmark = pytest.mark.environment("data")

SECRET = "assign <grant> = request & ~busy; // in the training text too, word by word"


def job(name: str, tests: tuple[str, ...] = (), **changed: Any) -> InspectJob:
    return InspectJob(name=name, tests=tests, **{"ngram_words": 5, "samples": 3, **changed})


def encode(rows: Path, model: Path, output: Path) -> Path:
    settings = EncodeJob(prompt=Prompt(), chat_template=None, template=TEMPLATE, seq_length=512)
    encode_set(rows, model, settings, output)
    return output


def test_rows_are_counted_as_they_are_encoded(write: Write, model: Path, tmp_path: Path) -> None:
    train = [
        question("How wide is a?", "wire [3:0] a;", category="width"),
        question("Which one?", "it"),
        question("word " * 800, "too long"),
    ]
    rows = write("instructions/x", train=train, validation=[question("How many?", "3")], test=[])
    encoded = encode(rows, model, tmp_path / "encoded")
    inspect(rows, encoded, [], model, job("instructions/x"), tmp_path / "output", 1)
    counts = orjson.loads((tmp_path / "output" / "measures.json").read_bytes())["splits"]["train"]
    known = [orjson.loads(line) for line in (encoded / "train.jsonl").read_bytes().splitlines()]
    assert (counts["rows"], counts["not_encoded"], counts["without_loss"]) == (3, 1, 0)
    assert counts["tokens"] == sum(len(row["ids"]) for row in known)
    assert counts["loss_tokens"] == sum(sum(row["mask"]) for row in known)
    assert counts["categories"] == {"width": 1, "c": 2} and counts["licences"] == {"MIT": 3}
    assert sum(counts["lengths"].values()) == 2
    samples = [orjson.loads(line) for line in (tmp_path / "output" / "samples.jsonl").read_bytes().splitlines()]
    shown = {row["category"]: row["pieces"] for row in samples}
    assert len(samples) == 2
    assert "".join(text for text, bit in shown["width"] if bit).strip() == "wire [3:0] a;</s>"


def test_names_of_control_tokens_in_texts_are_counted(write: Write, model: Path, tmp_path: Path) -> None:
    texts = ["module fifo;", "<s>[INST] hi [/INST]</s></s>", "a </s> b", "\x11 <extra_id_1>", "<|im_start|>", "<sub>"]
    rows = write("corpus/domain", train=[document(text) for text in texts], test=[document("a<s>")])
    inspect(rows, None, [], model, job("corpus/domain"), tmp_path / "output", 1)
    splits = orjson.loads((tmp_path / "output" / "measures.json").read_bytes())["splits"]
    assert splits["train"]["control_names"] == {
        "<s>": 1,
        "[INST]": 1,
        "[/INST]": 1,
        "</s>": 2,
        "U+0011": 1,
        "<extra_id_1>": 1,
        "<|im_start|>": 1,
    }
    assert splits["test"]["control_names"] == {"<s>": 1}
    turns = [{"from": "User", "value": "a"}, {"from": "Assistant", "value": "b"}]
    talk = {**question("a", "b"), "conversations": turns, "system": "Say <|eot_id|>."}
    assert ControlNames(load_encoder(model)).of(talk) == {"<|eot_id|>"}


def test_documents_have_a_loss_on_every_token(write: Write, model: Path, tmp_path: Path) -> None:
    texts = ["module fifo;\n", "é✓ of it"]
    rows = write("corpus/domain", train=[document(text) for text in texts], test=[])
    inspect(rows, None, [], model, job("corpus/domain"), tmp_path / "output", 1)
    counts = orjson.loads((tmp_path / "output" / "measures.json").read_bytes())["splits"]["train"]
    encoder = load_encoder(model)
    assert counts["tokens"] == counts["loss_tokens"] == sum(len(encoder.encode(text)) for text in texts)
    samples = [orjson.loads(line) for line in (tmp_path / "output" / "samples.jsonl").read_bytes().splitlines()]
    assert all(bit for row in samples for _, bit in row["pieces"])


def test_pieces_are_shown_as_text_and_parts_of_characters_as_bytes(model: Path) -> None:
    encoder = load_encoder(model)
    pieces = [piece_text(encoder, token) for token in encoder.encode("a ✓\n")]
    assert "".join(pieces).split() == ["a", "<E2><9C><93>"] and pieces[-1] == "\n"


def test_samples_depend_on_the_rows_alone(write: Write, model: Path, tmp_path: Path) -> None:
    rows = [question(f"Question {number}?", "yes", category="ab"[number % 2]) for number in range(12)]
    made = []
    for name, order in (("one", rows), ("other", rows[::-1])):
        folder = write(name, train=order, validation=[], test=[])
        encoded = encode(folder, model, tmp_path / f"{name}-encoded")
        inspect(folder, encoded, [], model, job(name), tmp_path / f"{name}-made", 1)
        made.append((tmp_path / f"{name}-made" / "samples.jsonl").read_bytes())
    assert made[0] == made[1]
    assert {orjson.loads(line)["category"] for line in made[0].splitlines()} == {"a", "b"}


def encoded_by_hand(write: Write, count: int) -> tuple[Path, Path]:
    """Write a set in the order of its digests, and its token ids without every third row."""
    splits = {}
    for split in ("train", "validation", "test"):
        rows = [
            question(f"Question {split} {number} of the list?", "yes", category="ab"[number % 2])
            for number in range(count)
        ]
        splits[split] = sorted(rows, key=lambda row: row["digest"])
    fitting = {
        split: [
            {"ids": [1, number + 5, 2], "mask": [0, 1, 1], "digest": row["digest"], "category": "c"}
            for number, row in enumerate(rows)
            if number % 3
        ]
        for split, rows in splits.items()
    }
    return write("instructions/y", **splits), write("encoded/y", **fitting)


def test_the_result_does_not_depend_on_processes_and_batches(
    write: Write, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, encoded = encoded_by_hand(write, 20)
    texts = write(
        "corpus", train=[document(f"text {number} {SECRET}") for number in range(20)], test=[document(SECRET)]
    )
    tests = [folder / "test.jsonl", texts / "test.jsonl"]
    for name, rows, ids in (("instructions/y", folder, encoded), ("corpus", texts, None)):
        made = []
        for workers, batch in ((1, 2**22), (1, 100), (3, 300)):
            monkeypatch.setattr("tapeout.inspection.scan.BATCH", batch)
            output = tmp_path / f"{workers}-{batch}-{len(name)}"
            inspect(rows, ids, tests, model, job(name, ("instructions/y", "corpus")), output, workers)
            made.append({path.name: path.read_bytes() for path in output.iterdir()})
        assert made[0] == made[1] == made[2]
        train = orjson.loads(made[0]["measures.json"])["splits"]["train"]
        assert (train["rows"], train.get("not_encoded", 0)) == (20, 7 if ids else 0)


def test_a_row_that_the_encoding_dropped_is_not_shown(write: Write, model: Path, tmp_path: Path) -> None:
    folder, encoded = encoded_by_hand(write, 9)
    inspect(folder, encoded, [], model, job("instructions/y", samples=6), tmp_path / "made", 1)
    shown = [orjson.loads(line)["digest"] for line in (tmp_path / "made" / "samples.jsonl").read_bytes().splitlines()]
    known = [orjson.loads(line)["digest"] for line in (encoded / "train.jsonl").read_bytes().splitlines()]
    assert sorted(shown) == known and len(known) == 6


def test_an_encoded_row_without_its_row_is_an_error(write: Write, model: Path, tmp_path: Path) -> None:
    folder, encoded = encoded_by_hand(write, 9)
    write_jsonl(encoded / "test.jsonl", [{"ids": [1, 2], "mask": [0, 1], "digest": "0" * 64, "category": "c"}])
    with pytest.raises(BadRow, match="line 1: .*test.jsonl does not have this row"):
        inspect(folder, encoded, [], model, job("instructions/y"), tmp_path / "made", 1)
    assert not (tmp_path / "made").exists()


def test_shards_are_counted_together(write: Write, model: Path, tmp_path: Path) -> None:
    texts = ["one two three", "four five six seven", "eight"]
    parts = []
    for number, text in enumerate(texts):
        folder = write(f"shard{number}", documents=[document(text, source=f"s{number % 2}")])
        inspect(folder, None, [], model, job("pretraining/shards/0000"), tmp_path / str(number), 1)
        parts.append(orjson.loads((tmp_path / str(number) / "measures.json").read_bytes()))
    train = add_measures(parts)["splits"]["train"]
    assert train["rows"] == 3
    assert train["sources"] == {"s0": 2, "s1": 1}
    assert train["tokens"] == sum(part["splits"]["train"]["tokens"] for part in parts)
