"""Errors of a user give one named error with its fix, and the next run is right."""

import pytest

from tests.end_to_end.conftest import Clone

pytestmark = pytest.mark.end_to_end


def refused(made: Clone, error: str, *arguments: str) -> str:
    text = made.run(*arguments, ok=False).text
    assert f"{error}: " in text and "fix: " in text, text
    assert "Traceback" not in text
    return text


def test_mistakes_that_stop_before_anything_runs(fresh: Clone) -> None:
    fresh.edit("tiny/config.yaml", "dapt:", "dpat: {}\ndapt:")
    assert "dpat" in refused(fresh, "InvalidConfig", "-n")
    fresh.edit("tiny/config.yaml", "dpat: {}\n", "")
    fresh.edit("tiny/sources.yaml", "tiny/alpha.zip", "tiny/alfa.zip")
    assert "alfa.zip" in refused(fresh, "SourceMissing", "-n", "instruction_sets")


def test_mistakes_that_a_step_finds_keep_nothing(fresh: Clone) -> None:
    fresh.edit("tiny/sources.yaml", "path: tiny/alpha.zip", f"path: tiny/alpha.zip\n  sha256: {'a' * 64}")
    rows = fresh.root / "tiny/questions.jsonl"
    good = rows.read_text()
    rows.write_text(f'{good}{{"instruction": "a"}}\n')
    text = refused(fresh, "WrongContent", "instruction_sets", "--keep-going")
    assert "a" * 64 in text and "BadRow: " in text and f"line {good.count(chr(10)) + 1}" in text
    assert not (fresh.root / "results/sources/alpha").exists()
    fresh.edit("tiny/sources.yaml", f"\n  sha256: {'a' * 64}", "")
    rows.write_text(good)
    assert "sources/alpha" in fresh.run("instruction_sets").built
