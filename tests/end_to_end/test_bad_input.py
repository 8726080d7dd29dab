"""What a user can get wrong is one named sentence with its fix, and the next run is right."""

import subprocess

import pytest

from tapeout.graph.identity.environment import read_environment
from tests.end_to_end.conftest import ROOT, Clone

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
    text = refused(fresh, "WrongHash", "instructions_raw")
    assert "a" * 64 in text
    assert not (fresh.root / "results/sources/alpha").exists()
    fresh.edit("tiny/sources.yaml", f"\n  sha256: {'a' * 64}", "")
    assert "sources/alpha" in fresh.run("instructions_raw").built


def test_an_unreachable_source(fresh: Clone) -> None:
    record = f"kind: url\n  url: http://127.0.0.1:9/alpha.zip\n  file: alpha.zip\n  sha256: {'a' * 64}"
    fresh.edit("tiny/sources.yaml", "kind: file", record)
    fresh.edit("tiny/sources.yaml", "  path: tiny/alpha.zip\n", "")
    refused(fresh, "SourceUnreachable", "instructions_raw")


def test_a_missing_local_source(fresh: Clone) -> None:
    fresh.edit("tiny/sources.yaml", "tiny/alpha.zip", "tiny/alfa.zip")
    assert "alfa.zip" in refused(fresh, "InvalidConfig", "instructions_raw")


def test_an_empty_corpus(fresh: Clone) -> None:
    fresh.edit("tiny/config.yaml", "- '*.txt'", "- '*.text'")
    refused(fresh, "EmptyCorpus", "corpus_general")


@pytest.mark.parametrize("line", ['{"input": "a"}', '{"input": ', "\x00"])
def test_a_malformed_row_names_its_line(fresh: Clone, line: str) -> None:
    fresh.run("instructions_raw")
    raw = fresh.root / "results/instructions/raw.jsonl"
    text = raw.read_text() + line + "\n"
    # the script itself, as a user of it would call it: inside the graph the file could not be wrong
    (fresh.root / "rows.jsonl").write_text(text)
    (fresh.root / "params.json").write_text('{"own": {}}')
    command = [str(ROOT / read_environment("data", ROOT).folder / "bin/python"), "scripts/instructions_formatted.py"]
    options = ["--raw", "rows.jsonl", "--params", "params.json", "--output", "formatted.jsonl"]
    done = subprocess.run(
        [*command, *options], cwd=fresh.root, env={"PYTHONPATH": str(fresh.root)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"line {text.count(chr(10))}" in done.stderr and "fix: " in done.stderr
    assert not (fresh.root / "formatted.jsonl").exists()
