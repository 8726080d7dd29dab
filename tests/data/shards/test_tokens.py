"""Tokens of a shard: exact counts, and the same bytes for any number of workers."""

from pathlib import Path

import numpy as np
import orjson
import pytest
import sentencepiece

from tapeout.config.pretraining import BlendJob
from tapeout.data.errors import NotEnoughData
from tapeout.data.shards.blend import blend
from tapeout.data.shards.tokens import write_tokens
from tests.data.shards.conftest import WORDS

pytestmark = pytest.mark.environment("corpus")


def documents(path: Path, count: int) -> list[dict[str, str]]:
    rows = [
        {"digest": f"{n:064x}", "component": "ab"[n % 2], "text": f"{WORDS}{n}\n  {WORDS * (n % 9)}"}
        for n in range(count)
    ]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return rows


def test_tokens_do_not_depend_on_the_number_of_workers(model: Path, tmp_path: Path) -> None:
    rows = documents(tmp_path / "documents.jsonl", 9000)
    (tmp_path / "near.jsonl").write_bytes(
        b"".join(orjson.dumps({"digest": row["digest"]}) + b"\n" for row in rows[:10])
    )
    for workers in (1, 2, 3):
        write_tokens(
            tmp_path / "documents.jsonl", tmp_path / "near.jsonl", model, tmp_path / str(workers), True, workers
        )
    names = ["a.bin", "a.idx", "b.bin", "b.idx", "report.json"]
    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == names
    for name in names:
        assert len({(tmp_path / str(workers) / name).read_bytes() for workers in (1, 2, 3)}) == 1, name
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    ids = [[*processor.encode(row["text"]), processor.eos_id()] for row in rows[10:] if row["component"] == "a"]
    assert np.fromfile(tmp_path / "1" / "a.bin", "<u2").tolist() == [token for document in ids for token in document]
    report = orjson.loads((tmp_path / "1" / "report.json").read_bytes())
    assert report["a"]["documents"] == len(ids) and report["a"]["tokens"] == sum(map(len, ids))


def test_texts_that_decoding_does_not_give_back_are_counted(model: Path, tmp_path: Path) -> None:
    rows = [{"digest": f"{n:064x}", "component": "a", "text": text} for n, text in enumerate(("▁▂▃", "▂▃", WORDS))]
    (tmp_path / "documents.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    write_tokens(tmp_path / "documents.jsonl", None, model, tmp_path / "out", True, 1)
    report = orjson.loads((tmp_path / "out" / "report.json").read_bytes())["a"]
    assert report.pop("documents with a character that the tokenizer does not give back") == 1
    assert set(report) == {"documents", "tokens", "bytes"} and report["documents"] == 3


def test_blend(tmp_path: Path) -> None:
    reports = [
        {"a": {"documents": 1, "tokens": 30, "bytes": 90}},
        {},
        {name: {"documents": 1, "tokens": 10, "bytes": 30} for name in "ab"},
    ]
    job = BlendJob(weights={"a": 1, "b": 3}, shards=("0000", "0001", "0002"))
    result = blend(reports, job)
    assert result["data_path"] == [
        pytest.approx(0.25 * 0.75),
        "pretraining/tokens/0000/a",
        pytest.approx(0.25 * 0.25),
        "pretraining/tokens/0002/a",
        pytest.approx(0.75),
        "pretraining/tokens/0002/b",
    ]
    assert result["tokens"] == 50 and result["components"]["b"]["repeats"] == pytest.approx(3.75)
    with pytest.raises(NotEnoughData, match="component b"):
        blend(reports[:2], job)
