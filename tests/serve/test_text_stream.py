"""The pieces of a text together are the text, whatever its tokens and stop strings are."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.encoder.load import load_encoder
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tapeout.serve.text_stream import TextStream
from tests.byte_level_material import write_tokenizer
from tests.serve.material import LINES
from tests.small_tokenizer import train

pytestmark = pytest.mark.environment("serve")

PIECES = SentencePieceEncoder(train(LINES, 300, hard_vocab_limit=False))
TEXT = st.lists(st.sampled_from(["a", " ", "  ", "\n", "é", "漢", "😀", "assign", "</s>", "\t", "="]), max_size=30).map(
    "".join
)
STOPS = st.lists(st.sampled_from(["=", "\n\n", "ass", "signa", " 漢", "😀", "aa"]), max_size=3)


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_encoder(write_tokenizer(tmp_path_factory.mktemp("bytes"), "llama3", lines=LINES))


def pieces(stream: TextStream, ids: list[int]) -> list[str]:
    return [piece for piece in [*map(stream.push, ids), stream.end()] if piece]


@given(TEXT)
def test_pieces_of_text_are_the_decoded_text(text: str) -> None:
    ids = PIECES.encode(text)
    found = pieces(TextStream(PIECES), [1, *ids, 2])
    assert "".join(found) == PIECES.decode(ids) == text
    assert "\ufffd" not in "".join(found)


@given(TEXT)
def test_a_byte_level_tokenizer(byte_level: Any, text: str) -> None:
    assert "".join(pieces(TextStream(byte_level), byte_level.encode(text))) == text


@given(st.data())
def test_any_tokens_of_a_byte_level_tokenizer(byte_level: Any, data: st.DataObject) -> None:
    """Also those that end within a character."""
    ids = data.draw(st.lists(st.integers(0, byte_level.size - 1), max_size=20))
    assert "".join(pieces(TextStream(byte_level), ids)) == byte_level.decode(ids)


@given(st.lists(st.integers(0, PIECES.size - 1), max_size=40), st.integers(0, 40))
def test_what_was_sent_is_never_taken_back(ids: list[int], cut: int) -> None:
    """Any tokens, also bytes that are no character: the pieces of a part are the beginning of those of the whole."""
    stream = TextStream(PIECES)
    part = "".join(map(stream.push, ids[:cut]))
    assert "".join(pieces(TextStream(PIECES), ids)).startswith(part)


@given(TEXT, STOPS)
def test_a_stop_string_ends_the_text_before_it(text: str, stops: list[str]) -> None:
    stream = TextStream(PIECES, stops)
    found = "".join(pieces(stream, PIECES.encode(text)))
    first = min((text.index(stop) for stop in stops if stop in text), default=None)
    assert stream.stopped == (first is not None)
    assert found == text[:first]


@given(TEXT, STOPS)
def test_no_piece_has_a_part_of_a_stop_string(text: str, stops: list[str]) -> None:
    stream = TextStream(PIECES, stops)
    sent = ""
    for token in PIECES.encode(text):
        sent += stream.push(token)
        rest = text[len(sent) :]
        assert text.startswith(sent)
        assert not any(text.startswith(stop, at) and at < len(sent) for stop in stops for at in range(len(sent))), rest


def test_a_blank_begins_a_continuation_only() -> None:
    ids = PIECES.encode("assign")
    assert "".join(pieces(TextStream(PIECES), ids)) == "assign"
    assert "".join(pieces(TextStream(PIECES, continues=True), ids)) == " assign"
    assert "".join(pieces(TextStream(PIECES), PIECES.encode(" assign"))) == " assign"
