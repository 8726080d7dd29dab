"""Vocabularies in GGUF files: what is read back encodes as the original does."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.gguf import tokenizer_fields, tokenizer_files
from tapeout.encoder.load import load_encoder
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tapeout.encoder.vocabulary import extend
from tests.deploy.material import MODEL
from tests.deploy.test_gguf import write_known

pytestmark = pytest.mark.environment("nemo")

PADDING = 3
ENCODER_SIZE = SentencePieceEncoder(MODEL).size


def round_trip(folder: Path) -> Any:
    """Return the encoder that is made of the fields of a file."""
    fields = tokenizer_fields(folder, load_encoder(folder).size + PADDING)
    (folder / "again").mkdir()
    for name, content in tokenizer_files({f"tokenizer.ggml.{name}": value for name, value in fields.items()}).items():
        (folder / "again" / name).write_bytes(content)
    return load_encoder(folder / "again")


UNITS = st.sampled_from([" ", "  ", "a", "ab", "aba", "=", "=-", "0", "12", "\n", "\r\n", "\t", "é", "漢", "▁", "</s>"])
TEXTS = st.one_of(st.lists(UNITS, max_size=40).map("".join), st.text(st.characters(exclude_categories=["Cs"])))


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, Any]]:
    """Encoders of each kind, and those made of the fields of their files."""
    pairs = []
    for kind in ("sentencepiece", "extended", "gpt2", "llama3", "smollm2", "qwen2"):
        folder = tmp_path_factory.mktemp(kind)
        if kind == "sentencepiece":
            (folder / "tokenizer.model").write_bytes(MODEL)
        elif kind == "extended":  # with pieces of characters that only byte pieces represent
            (folder / "tokenizer.model").write_bytes(extend(MODEL, ["\n\n", "a\n", "a\n▁", "\t\t"]))
        else:
            write_known(folder, kind)
        pairs.append((load_encoder(folder), round_trip(folder)))
    return pairs


@given(TEXTS)
def test_a_vocabulary_from_a_file_encodes_as_the_original(encoders: list[tuple[Any, Any]], text: str) -> None:
    for original, again in encoders:
        ids = original.encode(text)
        assert again.encode(text) == ids and again.decode(ids) == original.decode(ids)
        assert (again.bos_ids, again.eos, again.size) == (original.bos_ids, original.eos, original.size)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("scores", None, "no list of numbers in the field tokenizer.ggml.scores"),
        ("scores", [0.0], "1 scores"),
        ("tokens", None, "no list of texts in the field tokenizer.ggml.tokens"),
        ("token_type", [1] * ENCODER_SIZE, "0 pieces for bytes, 0 for unknown text"),
        ("token_type", [9] * ENCODER_SIZE, "has pieces of type 9"),
        ("add_space_prefix", "yes", "add_space_prefix with the value 'yes'"),
        ("eos_token_id", ENCODER_SIZE, "eos_token_id with the value"),
        ("model", "t5", "vocabulary of type 't5'"),
    ],
)
def test_fields_of_a_sentencepiece_vocabulary_are_checked(name: str, value: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(MODEL)
    fields = {**tokenizer_fields(tmp_path, ENCODER_SIZE), name: value}
    with pytest.raises(InvalidVocabulary, match=message):
        tokenizer_files({f"tokenizer.ggml.{key}": known for key, known in fields.items() if known is not None})
