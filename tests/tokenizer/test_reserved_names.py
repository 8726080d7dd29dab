"""Names of control, byte, unknown and user-defined pieces in texts are plain text, whatever the training text holds."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.encoder.bulk import BulkEncoder, bulk_encoder
from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.sentencepiece import KINDS, SentencePieceEncoder
from tapeout.encoder.vocabulary import SentencePieceVocabulary, extend, parse
from tapeout.tokenizer.checks import check_reserved_names
from tapeout.tokenizer.extension import Extension, extend_vocabulary
from tests.small_tokenizer import train
from tests.tokenizer.material import DOMAIN, GENERAL, PROSE, job

pytestmark = pytest.mark.environment("nemo")

LETTERS = "".join(map(chr, range(33, 127)))
BASE = train(
    [*PROSE, LETTERS] * 20,
    480,
    allow_whitespace_only_pieces=True,
    split_digits=True,
    character_coverage=1.0,
    control_symbols=["<ctl>", "[INST]"],
    user_defined_symbols=["<|im_start|>", "<usr>"],
)
VOCABULARY = SentencePieceVocabulary(BASE)
NAMES = ["<s>", "</s>", "<unk>", "<0x0A>", "<0x41>", "<ctl>", "[INST]", "<|im_start|>", "<usr>"]
PARTS = [*NAMES, *" \n\tab_<>/s09", "fifo", "axi", "é", "漢", "▁"]
TEXTS = st.lists(st.sampled_from(PARTS), min_size=1, max_size=12).map("".join)


def reserved_texts(source: str) -> Iterator[str]:
    """Yield documents in which every reserved name is frequent and touches words."""
    for name in NAMES:
        yield "\n".join(f"{source}:{name}old{name}new x {name} {name}{name}_{number}" for number in range(8))


@pytest.fixture(scope="module")
def extension() -> Extension:
    domain = {name: [*texts, *reserved_texts(name)] for name, texts in DOMAIN.items()}
    limits = {"new_pieces": 160, "allow_digits": True, "max_general_rate": 0.5, "min_sources": 1}
    return extend_vocabulary(VOCABULARY, domain, GENERAL, job(**limits), threads=1)


def test_no_reserved_name_is_learnt(extension: Extension) -> None:
    assert set(NAMES) <= set(VOCABULARY.reserved_names)
    learnt = {new.piece for new in extension.pieces}
    assert not {piece for piece in learnt for name in NAMES if name in piece}
    assert any("<" in piece for piece in learnt), "the text has no pieces with the characters of the names"
    check_reserved_names(VOCABULARY, extension.vocabulary.encoder)


@pytest.fixture(scope="module")
def encoders(extension: Extension) -> tuple[SentencePieceEncoder, BulkEncoder]:
    encoder = SentencePieceEncoder(extension.vocabulary.content)
    return encoder, bulk_encoder(encoder, np.dtype("<u2"), append_eos=False)


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_texts_with_reserved_names_are_plain_text(
    encoders: tuple[SentencePieceEncoder, BulkEncoder], text: str
) -> None:
    encoder, bulk = encoders
    ids = encoder.encode(text)
    assert ids and encoder.decode(ids) == text.replace("▁", " ")
    assert {encoder.unk, *encoder.control_pieces.values()}.isdisjoint(ids)
    assert [token for token, _, _ in encoder.encode_spans(text)] == ids
    assert np.frombuffer(bulk.encode(text), "<u2").tolist() == ids


@pytest.mark.parametrize("name", NAMES)
def test_a_tokenizer_with_a_reserved_name_as_a_piece_is_refused(name: str) -> None:
    with pytest.raises(InvalidVocabulary, match="two pieces with the name"):
        SentencePieceEncoder(extend(BASE, [name]))


def test_a_model_that_cannot_spell_a_reserved_name_is_rejected() -> None:
    proto = parse(BASE)
    next(piece for piece in proto.pieces if piece.piece == "<").piece = "other"
    proto.trainer_spec.byte_fallback = False
    for index in reversed([index for index, piece in enumerate(proto.pieces) if piece.type == KINDS.BYTE]):
        del proto.pieces[index]
    with pytest.raises(InvalidVocabulary, match="name of a reserved piece and encodes to .*<unk>"):
        check_reserved_names(VOCABULARY, SentencePieceEncoder(proto.SerializeToString()))


@pytest.mark.parametrize("content", [b"", b"no model", b"\xff" * 40])
def test_content_that_is_no_model_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidVocabulary):
        SentencePieceEncoder(content)


def test_unused_pieces_are_refused_in_an_extension() -> None:
    proto = parse(BASE)
    next(piece for piece in proto.pieces if piece.type == KINDS.NORMAL and len(piece.piece) > 3).type = KINDS.UNUSED
    with pytest.raises(InvalidVocabulary, match="unused piece"):
        SentencePieceVocabulary(proto.SerializeToString())
