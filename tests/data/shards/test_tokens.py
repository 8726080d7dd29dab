"""Tokens of a shard: SentencePiece's own ids, whatever the text and the number of workers."""

from pathlib import Path

import numpy as np
import orjson
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.pretraining import BlendJob
from tapeout.data.io.jsonl import EmptyCorpus
from tapeout.data.shards.blend import blend
from tapeout.data.shards.tokens import write_tokens
from tapeout.encoder.bulk import bulk_encoder
from tapeout.encoder.load import load_encoder
from tests.data.shards.conftest import WORDS

pytestmark = pytest.mark.environment("corpus")

SPECIAL = "\N{LOWER ONE EIGHTH BLOCK}"


TEXTS = st.text(st.sampled_from([*" \n\tabcmodule_(){}<>019é\0\x7f" + SPECIAL + "\u3000漢"]), max_size=60)


@settings(deadline=None, max_examples=400)
@given(st.one_of(TEXTS, st.text(st.characters(exclude_categories=["Cs"]), max_size=40)))
def test_the_ids_are_those_of_sentencepiece(model: Path, text: str) -> None:
    encoder = load_encoder(model)
    bulk = bulk_encoder(encoder, np.dtype("<u2"), append_eos=False)
    assert np.frombuffer(bulk.encode(text), "<u2").tolist() == encoder.encode(text)


def documents(path: Path, count: int) -> list[dict[str, str]]:
    rows = [
        {"digest": f"{n:064x}", "component": "ab"[n % 2], "text": f"{WORDS}{n}\n  {WORDS * (n % 9)}"}
        for n in range(count)
    ]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return rows


def test_counts_are_exact_and_workers_change_nothing(model: Path, tmp_path: Path) -> None:
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
    assert np.fromfile(tmp_path / "1" / "a.bin", "<u2").tolist() == [token for each in ids for token in each]
    report = orjson.loads((tmp_path / "1" / "report.json").read_bytes())
    assert report["a"]["documents"] == len(ids) and report["a"]["tokens"] == sum(map(len, ids))


def test_what_does_not_come_back_from_the_tokenizer_is_told(model: Path, tmp_path: Path) -> None:
    rows = [{"digest": f"{n:064x}", "component": "a", "text": text} for n, text in enumerate(("▁▂▃", "▂▃", WORDS))]
    (tmp_path / "documents.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    write_tokens(tmp_path / "documents.jsonl", None, model, tmp_path / "out", True, 1)
    report = orjson.loads((tmp_path / "out" / "report.json").read_bytes())["a"]
    assert report.pop("documents with U+2581, which the tokenizer takes for a blank") == 1
    assert set(report) == {"documents", "tokens", "bytes"} and report["documents"] == 3


def test_blend(tmp_path: Path) -> None:
    reports = [
        {"a": {"documents": 1, "tokens": 30, "bytes": 90}},
        {},
        {name: {"documents": 1, "tokens": 10, "bytes": 30} for name in "ab"},
    ]
    job = BlendJob(weights={"a": 1, "b": 3}, shards=("0000", "0001", "0002"))
    made = blend(reports, job)
    assert made["data_path"] == [
        pytest.approx(0.25 * 0.75),
        "pretraining/tokens/0000/a",
        pytest.approx(0.25 * 0.25),
        "pretraining/tokens/0002/a",
        pytest.approx(0.75),
        "pretraining/tokens/0002/b",
    ]
    assert made["tokens"] == 50 and made["components"]["b"]["repeats"] == pytest.approx(3.75)
    with pytest.raises(EmptyCorpus, match="component b"):
        blend(reports[:2], job)
