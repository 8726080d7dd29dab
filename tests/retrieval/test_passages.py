"""Passages cover each document, overlap as stated, and name their bytes."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.config.passages import PassagesJob
from tapeout.retrieval.passages import Passage, cut, passages_of, read_passages, read_splits, write_passages
from tests.retrieval.material import CACHE, FIFO, UART, corpus, row

pytestmark = pytest.mark.environment("serve")


@given(
    st.text(st.sampled_from("ab \n\té😀"), min_size=1, max_size=400),
    st.integers(16, 90),
    st.floats(0, 0.49),
)
def test_passages_cover_every_byte_and_overlap_as_stated(text: str, characters: int, part: float) -> None:
    job = PassagesJob(characters=characters, overlap=int(part * characters))
    passages = list(passages_of(row("core", "a.v", text), job))
    content = text.encode()
    assert passages[0].start == 0 and passages[-1].end == len(content)
    for passage in passages:
        assert content[passage.start : passage.end].decode() == passage.text
        assert 0 < len(passage.text) <= characters
    for before, after in pairwise(passages):
        assert before.start < after.start <= before.end < after.end
        assert len(content[after.start : before.end].decode()) <= job.overlap
    assert len({passage.id for passage in passages}) == len(passages)


def test_passages_end_and_begin_at_lines_where_there_are_some() -> None:
    text = "".join(f"line {number}\n" for number in range(8))  # of 7 characters each
    assert list(cut(text, 32, 8)) == [(0, 28), (21, 49), (42, 56)]
    assert list(cut("x" * 70, 32, 8)) == [(0, 32), (24, 56), (48, 70)]
    assert list(cut("short", 32, 8)) == [(0, 5)]


def test_a_document_of_two_corpora_is_cut_once_and_everything_is_counted(tmp_path: Path) -> None:
    domain = corpus(tmp_path / "domain")
    general = corpus(tmp_path / "general", {"copy.v": CACHE, "note.txt": "Some text about é.\n"}, {"fifo.v": FIFO})
    write_passages([domain, general], PassagesJob(characters=64, overlap=8), tmp_path / "passages")
    report = json.loads((tmp_path / "passages/report.json").read_text())
    assert report["test"]["documents"] == 2 and report["test"]["characters"] == len(FIFO) + len(UART)
    assert report["train"]["documents"] == 2
    test, train = (read_passages(tmp_path / f"passages/{split}.jsonl") for split in ("test", "train"))
    assert [len(test), len(train)] == [report["test"]["passages"], report["train"]["passages"]]
    assert read_splits(tmp_path / "passages", ("test", "train")) == [*test, *train]
    first = test[0]
    assert isinstance(first, Passage) and first.title == "unseen/rtl/fifo.v" and first.licence == "ISC"
    assert first.searched == f"unseen fifo.v\n{first.text}"
    write_passages([domain, general], PassagesJob(characters=64, overlap=8), tmp_path / "again")
    for name in ("train.jsonl", "test.jsonl", "report.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "passages" / name).read_bytes()
