"""The tokenizer.json of an extended SentencePiece model gives its ids, also where new pieces contain line breaks."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.fast_tokenizer import fast_tokenizer
from tapeout.encoder.vocabulary import SentencePieceVocabulary
from tapeout.tokenizer.checks import added_rows, check_library
from tapeout.tokenizer.extension import extend_vocabulary
from tests.tokenizer.material import BASE, DOMAIN, GENERAL, VOCABULARY, job

pytestmark = pytest.mark.environment("nemo")

MARKED = {name: [*texts, "<0x0A>\n▁</s>\n\n\t\tx;\n" * 9] for name, texts in DOMAIN.items()}
EXTENSION = extend_vocabulary(VOCABULARY, MARKED, GENERAL, job(new_pieces=160, min_sources=1), threads=1)
EXTENDED = EXTENSION.vocabulary.encoder
LIBRARY = Tokenizer.from_str(fast_tokenizer(EXTENSION.vocabulary.content))
PARTS = [
    "<0x0A>",
    "</s>",
    "<unk>",
    "▁",
    "\n",
    " ",
    "  ",
    "\t",
    "\r\n",
    ");",
    "end",
    "clk_i",
    "logic",
    "é",
    "漢",
    "\0",
    "7",
]
TEXTS = st.one_of(
    st.lists(st.sampled_from([*PARTS, *(new.piece.replace("▁", " ") for new in EXTENSION.pieces)])).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_the_library_gives_the_same_ids_and_the_text_back(text: str) -> None:
    names = [*filter(None, EXTENDED.control_pieces), "<unk>"]
    for part in re.split("|".join(map(re.escape, names)), text):  # names of control pieces are tokens to the library
        ids = EXTENDED.encode(part)
        assert LIBRARY.encode(part, add_special_tokens=False).ids == ids
        assert bool(ids) == bool(part)
        assert EXTENDED.decode(ids) == part.replace("▁", " ")
        if ids:
            assert LIBRARY.decode(ids) == part.replace("▁", " ")


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_new_ids_expand_to_those_of_the_base_where_no_other_piece_is_used(text: str) -> None:
    """SentencePiece splits a text into what its merges leave; undoing the new merges leaves the old pieces."""
    size = VOCABULARY.encoder.size
    expanded = []
    for index in EXTENDED.encode(text):
        expanded += [index] if index < size else VOCABULARY.split(EXTENDED.id_to_piece(index))
    assert expanded == VOCABULARY.encoder.encode(text)


def test_pieces_join_line_breaks_and_every_piece_is_reachable() -> None:
    joined = [new.piece for new in EXTENSION.pieces if "\n" in new.piece]
    assert any(piece.startswith("\n") for piece in joined) and any(piece.endswith(";\n") for piece in joined)
    for row in added_rows(VOCABULARY, EXTENSION):
        assert EXTENSION.vocabulary.split(row["piece"]) == [row["id"]] and len(row["parts"]) > 1
        assert [VOCABULARY.names[index] for index in VOCABULARY.split(row["piece"])] == row["parts"]


def test_a_vocabulary_without_such_pieces_keeps_the_names_of_bytes() -> None:
    assert Tokenizer.from_str(fast_tokenizer(BASE)).token_to_id("<0x0A>") == VOCABULARY.names.index("<0x0A>")
    assert LIBRARY.token_to_id("\n") == VOCABULARY.names.index("<0x0A>")


def test_other_ids_are_reported() -> None:
    texts = DOMAIN["alpha"]
    assert check_library(EXTENDED, fast_tokenizer(EXTENSION.vocabulary.content), texts, 1) == len(texts)
    with pytest.raises(InvalidVocabulary, match="gives other ids from token"):
        check_library(EXTENDED, fast_tokenizer(SentencePieceVocabulary(BASE).content), texts, 1)
