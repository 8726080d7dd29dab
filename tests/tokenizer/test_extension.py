"""The base model is found in its source, or its absence is reported."""

import zipfile
from pathlib import Path

import pytest

from tapeout.encoder.sentencepiece import InvalidVocabulary
from tapeout.tokenizer.extension import model_in_source

pytestmark = pytest.mark.environment("nemo")


@pytest.mark.parametrize("archive", ["x-1-py3-none-any.whl", "x.zip"])
def test_the_model_is_found_in_the_archive(tmp_path: Path, archive: str) -> None:
    with pytest.raises(InvalidVocabulary, match=r"no file a/b\.model.*files: none"):
        model_in_source(tmp_path, "a/b.model")
    with zipfile.ZipFile(tmp_path / archive, "w") as opened:
        opened.writestr("a/b.model", b"bytes")
    assert model_in_source(tmp_path, "a/b.model") == b"bytes"
    with pytest.raises(InvalidVocabulary, match=rf"(?s)no file a/c\.model.*files: {archive}.*fix: Set tokeni"):
        model_in_source(tmp_path, "a/c.model")


def test_the_model_may_be_a_file_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.model").write_bytes(b"bytes")
    assert model_in_source(tmp_path, "a/b.model") == b"bytes"
    assert model_in_source(tmp_path / "a", "b.model") == b"bytes"
