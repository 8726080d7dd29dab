"""The base model is found in its source, or its absence is reported."""

import zipfile
from pathlib import Path

import pytest

from tapeout.encoder.errors import InvalidVocabulary
from tapeout.tokenizer.checks import check
from tapeout.tokenizer.extension import extend_vocabulary
from tapeout.tokenizer.source import vocabulary_in_source
from tests.tokenizer.material import BASE, DOMAIN, GENERAL, VOCABULARY, job

pytestmark = pytest.mark.environment("nemo")


@pytest.mark.parametrize("archive", ["x-1-py3-none-any.whl", "x.zip"])
def test_the_model_is_found_in_the_archive(tmp_path: Path, archive: str) -> None:
    with pytest.raises(InvalidVocabulary, match=r"no file a/b\.model.*files: none"):
        vocabulary_in_source(tmp_path, "a/b.model")
    with zipfile.ZipFile(tmp_path / archive, "w") as opened:
        opened.writestr("a/b.model", BASE)
    assert vocabulary_in_source(tmp_path, "a/b.model").content == BASE
    with pytest.raises(InvalidVocabulary, match=rf"(?s)no file a/c\.model.*files: {archive}.*fix: Set tokeni"):
        vocabulary_in_source(tmp_path, "a/c.model")


def test_the_model_may_be_a_file_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.model").write_bytes(BASE)
    assert vocabulary_in_source(tmp_path, "a/b.model").content == BASE
    assert vocabulary_in_source(tmp_path / "a", "b.model").content == BASE


def test_without_new_pieces_the_extended_vocabulary_is_the_base_one() -> None:
    settings = job().model_copy(update={"new_pieces": 0})  # the configuration allows it
    extension = extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, settings, threads=1)
    assert extension.vocabulary.content == BASE and not extension.pieces
    report = check(VOCABULARY, extension, ["a"], ["b"], settings, threads=1)
    assert report["vocabulary"] == {"base": 440, "extended": 440, "multiple": 4}
