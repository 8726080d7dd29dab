"""Reading and sampling of test data."""

import json
from pathlib import Path

import pytest

from tapeout.data.io.jsonl import MalformedRow
from tapeout.evals.rows import (
    Document,
    EmptyTestSet,
    Question,
    read_documents,
    read_questions,
    sample_documents,
    sample_questions,
)

pytestmark = pytest.mark.environment("nemo")


def documents(count: int) -> list[Document]:
    return [Document(f"line {index}\n" * 10, f"{index:064x}") for index in range(count)]


def test_sample_does_not_depend_on_order_and_keeps_its_beginning() -> None:
    few, many = documents(50), documents(60)
    sample = sample_documents(few, 800, 1000)
    assert sample == sample_documents(reversed(few), 800, 1000)
    assert 0 < sum(len(each.text.encode()) for each in sample) <= 800
    larger = sample_documents(few, 1600, 1000)
    assert larger[: len(sample)] == sample
    # more documents move none: those of the old sample stay in their order
    order = [each.digest for each in sample_documents(many, 10**9, 1000)]
    kept = [digest for digest in order if int(digest, 16) < 50]
    assert kept == [each.digest for each in sample_documents(few, 10**9, 1000)]


def test_first_document_is_always_taken() -> None:
    assert len(sample_documents(documents(3), 1, 1000)) == 1


def test_a_cut_document_is_not_whole() -> None:
    assert [each.whole for each in sample_documents([Document("ab\ncd", "0")], 9, 4)] == [False]
    assert [each.whole for each in sample_documents([Document("ab\ncd", "0")], 9, 5)] == [True]


def test_questions_are_balanced() -> None:
    rows = [
        Question("q", "a", category, "serv", "ISC", f"{category}{index}")
        for category, count in (("a", 100), ("b", 10), ("c", 2))
        for index in range(count)
    ]
    sample = sample_questions(rows, 24)
    assert [sum(row.category == category for row in sample) for category in "abc"] == [12, 10, 2]
    assert sample == sample_questions(reversed(rows), 24)
    assert len(sample_questions(rows, 1000)) == 112


def test_bad_files_are_named_errors(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text('{"text": "a", "digest": "0"}\n{"text": "a"}\n')
    with pytest.raises(MalformedRow, match="line 2.*digest"):
        read_documents(path)
    path.write_text("")
    with pytest.raises(EmptyTestSet, match="test.jsonl holds no rows"):
        read_questions(path)


def test_repeated_digest_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps({"text": text, "digest": text[0]}) + "\n" for text in ("a1", "b", "a2")))
    assert [each.text for each in read_documents(path)] == ["a1", "b"]
