"""Errors of a user give one named error with its fix, and the next run is right."""

import pytest

from tests.end_to_end.conftest import Clone

pytestmark = pytest.mark.end_to_end


def refused(made: Clone, error: str, *arguments: str) -> str:
    text = made.run(*arguments, ok=False).text
    assert f"{error}: " in text and "fix: " in text, text
    assert "Traceback" not in text
    return text


def test_an_unknown_config_key(fresh: Clone) -> None:
    fresh.edit("tiny/config.yaml", "dapt:", "dpat: {}\ndapt:")
    text = refused(fresh, "InvalidConfig", "-n")
    assert "dpat" in text


def test_a_wrong_source_hash_keeps_nothing(fresh: Clone) -> None:
    fresh.edit("tiny/sources.yaml", "path: tiny/alpha.zip", f"path: tiny/alpha.zip\n  sha256: {'a' * 64}")
    text = refused(fresh, "WrongContent", "instruction_sets")
    assert "a" * 64 in text
    assert not (fresh.root / "results/sources/alpha").exists()
    fresh.edit("tiny/sources.yaml", f"\n  sha256: {'a' * 64}", "")
    assert "sources/alpha" in fresh.run("instruction_sets").built


def test_an_unreachable_source(fresh: Clone) -> None:
    record = f"kind: url\n  url: http://127.0.0.1:9/alpha.zip\n  file: alpha.zip\n  sha256: {'a' * 64}"
    fresh.edit("tiny/sources.yaml", "kind: file", record)
    fresh.edit("tiny/sources.yaml", "  path: tiny/alpha.zip\n", "")
    refused(fresh, "SourceUnreachable", "instruction_sets")


def test_a_missing_local_source(fresh: Clone) -> None:
    fresh.edit("tiny/sources.yaml", "tiny/alpha.zip", "tiny/alfa.zip")
    assert "alfa.zip" in refused(fresh, "SourceMissing", "instruction_sets")


def test_an_empty_corpus(fresh: Clone) -> None:
    fresh.edit("tiny/config.yaml", "- '*.txt'", "- '*.text'")
    refused(fresh, "NotEnoughData", "corpus_general")


@pytest.mark.parametrize("line", ['{"instruction": "a"}', '{"instruction": ', "\x00"])
def test_a_bad_row_names_its_line(fresh: Clone, line: str) -> None:
    path = fresh.root / "tiny/questions.jsonl"
    path.write_text(path.read_text() + line + "\n")
    assert f"line {path.read_text().count(chr(10))}" in refused(fresh, "BadRow", "instruction_sets")
