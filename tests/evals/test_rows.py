"""Reading of test sets."""

import json
from pathlib import Path

import pytest

from tapeout.data.errors import BadRow, NotEnoughData
from tapeout.evals.rows import read_rows

pytestmark = pytest.mark.environment("nemo")


def test_bad_files_are_named_errors(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text('{"text": "a", "digest": "0"}\n{"text": "a"}\n')
    with pytest.raises(BadRow, match=r"line 2.*digest"):
        read_rows(path, ("text",))
    path.write_text("")
    with pytest.raises(NotEnoughData, match=r"test\.jsonl has no rows"):
        read_rows(path, ("text",))


def test_a_repeated_digest_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps({"text": text, "digest": text[0]}) + "\n" for text in ("a1", "b", "a2")))
    assert [row["text"] for row in read_rows(path, ("text",))] == ["a1", "b"]
