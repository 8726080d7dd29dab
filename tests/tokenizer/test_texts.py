"""Corpora and wheels as they should not be."""

import zipfile
from pathlib import Path

import pytest

from tapeout.data.jsonl import MalformedRow
from tapeout.tokenizer.sentencepiece_model import ModelFileMissing, model_in_wheel
from tapeout.tokenizer.texts import EmptyCorpus, read_texts, read_texts_by_source


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
    with pytest.raises(EmptyCorpus, match="corpus.jsonl holds no text"):
        read_texts(path)


def test_the_model_is_found_in_the_wheel_or_its_absence_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileMissing, match="0 wheels"):
        model_in_wheel(tmp_path, "a/b.model")
    with zipfile.ZipFile(tmp_path / "x-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("a/b.model", b"bytes")
    assert model_in_wheel(tmp_path, "a/b.model") == b"bytes"
    with pytest.raises(ModelFileMissing, match="no file a/c.model"):
        model_in_wheel(tmp_path, "a/c.model")
