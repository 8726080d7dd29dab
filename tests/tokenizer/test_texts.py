"""Corpora and sources as they should not be."""

import zipfile
from pathlib import Path

import pytest

from tapeout.data.io.jsonl import EmptyCorpus, MalformedRow, read_texts, read_texts_by_source
from tapeout.tokenizer.extension import ModelFileMissing, model_in_source

pytestmark = pytest.mark.environment("nemo")


def test_texts_by_source_are_sorted_by_name(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text":"b1","source":"b"}\n{"text":"a","source":"a"}\n{"text":"b2","source":"b"}\n')
    assert list(read_texts_by_source(path).items()) == [("a", ["a"]), ("b", ["b1", "b2"])]


def test_bad_corpora_are_named(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text":"fine"}\n{"txt":"no"}\n')
    with pytest.raises(MalformedRow, match="line 2"):
        read_texts(path)
    path.write_text('{"text":""}\n')
    with pytest.raises(EmptyCorpus, match="corpus.jsonl has no text"):
        read_texts(path)


@pytest.mark.parametrize("archive", ["x-1-py3-none-any.whl", "x.zip"])
def test_the_model_is_found_in_the_archive_or_its_absence_named(tmp_path: Path, archive: str) -> None:
    with pytest.raises(ModelFileMissing, match=r"no file a/b\.model.*files: none"):
        model_in_source(tmp_path, "a/b.model")
    with zipfile.ZipFile(tmp_path / archive, "w") as opened:
        opened.writestr("a/b.model", b"bytes")
    assert model_in_source(tmp_path, "a/b.model") == b"bytes"
    with pytest.raises(ModelFileMissing, match=rf"(?s)no file a/c\.model.*files: {archive}.*fix: Set tokeni"):
        model_in_source(tmp_path, "a/c.model")


def test_the_model_may_be_a_file_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.model").write_bytes(b"bytes")
    assert model_in_source(tmp_path, "a/b.model") == b"bytes"
    assert model_in_source(tmp_path / "a", "b.model") == b"bytes"
