"""Continued merges agree with SentencePiece."""

import re
from collections import Counter
from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tapeout.tokenizer.extension import extend_vocabulary
from tapeout.tokenizer.merges import is_allowed
from tapeout.tokenizer.method import Material
from tapeout.tokenizer.segmentation import NONE, Merges, Segmentation, merged
from tapeout.tokenizer.words import BYTES, count_words
from tests.tokenizer.material import BASE, DOMAIN, GENERAL, VOCABULARY, job

pytestmark = pytest.mark.environment("nemo")

ranks = VOCABULARY.ranks
base_merges = Merges(VOCABULARY.symbols, ranks, "")
base = SentencePieceEncoder(BASE)
extended = extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, job(), threads=1).vocabulary.encoder


def test_merges_agree_with_sentencepiece() -> None:
    for text in ("always_ff", "clk_i;", "counter", "[WIDTH-1:0]", "instantiation", "x=%d"):
        assert list(merged(("▁", *text), base_merges)) == base.processor.encode(text, out_type=str)


def test_the_extended_model_segments_as_simulated() -> None:
    extension = extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, job(), threads=2)
    model = SentencePieceEncoder(extension.vocabulary.content)
    actual = Counter(
        piece for texts in DOMAIN.values() for ids in model.processor.encode(texts, out_type=str) for piece in ids
    )
    assert {new.piece: extension.uses[new.piece] for new in extension.pieces} == {
        new.piece: actual[new.piece] for new in extension.pieces
    }


def test_the_result_does_not_depend_on_order_and_threads() -> None:
    reversed_domain = {name: texts[::-1] for name, texts in reversed(DOMAIN.items())}
    first = extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, job(), threads=1)
    second = extend_vocabulary(VOCABULARY, reversed_domain, GENERAL, job(), threads=2)
    assert first.vocabulary.content == second.vocabulary.content


def test_pieces_satisfy_the_limits() -> None:
    chosen = extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, job(), threads=1).pieces
    counts = [new.count for new in chosen]
    assert len(chosen) == len({new.piece for new in chosen}) == job().new_pieces
    assert counts == sorted(counts, reverse=True) and counts[-1] >= job().min_count
    for new in chosen:
        assert new.piece not in ranks
        assert 2 <= len(new.piece) <= job().max_piece_characters
        assert not re.search("[^▁\n\t][▁\t]", new.piece)
        assert not any(map(str.isdigit, new.piece))


def test_pieces_common_in_general_text_are_rejected() -> None:
    general = {"prose": ["module\n  logic  input  logic posedge clk_i"]}
    unlimited = extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, job(), threads=1).pieces
    limited = extend_vocabulary(VOCABULARY, DOMAIN, general, job(max_general_rate=1e-4), threads=1).pieces
    assert all(new.general == 0 for new in limited)
    assert any("logic" in new.piece for new in unlimited)
    assert not any("logic" in new.piece for new in limited)


def test_pieces_of_a_single_source_are_rejected() -> None:
    def pieces(sources: int) -> str:
        chosen = extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, job(min_sources=sources), threads=1).pieces
        return " ".join(new.piece for new in chosen)

    assert "zqx" in pieces(1)
    assert "zqx" not in pieces(2)


@pytest.mark.parametrize("method", ["continued_bpe", "chipnemo"])
def test_pieces_hold_together(method: str) -> None:
    settings = {"method": method, "selection": {"by": "marginal", "min_saving": 1}, "multiple": 1}
    limited = job(**settings, min_cohesion=0.3)
    chosen = extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, limited, threads=1).pieces
    growth = Material(VOCABULARY, DOMAIN, GENERAL, limited, threads=1).growth()
    for new in chosen:
        pieces, pairs = counted(growth.domain)
        halves = growth.domain.halves(new.merge)
        assert max(pairs[left, right] / sqrt(pieces[left] * pieces[right]) for left, right in halves) >= 0.3
        assert +growth.domain.pieces == pieces
        growth.add(new.merge)
    free = extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, job(**settings), threads=1).pieces
    assert chosen and {new.piece for new in free} - {new.piece for new in chosen}


def counted(domain: Segmentation) -> tuple[Counter[int], Counter[tuple[int, int]]]:
    """Return the pieces and pairs of a segmentation, counted one by one."""
    pieces: Counter[int] = Counter()
    pairs: Counter[tuple[int, int]] = Counter()
    for place, number in enumerate(domain.ids[:-1].tolist()):
        after, times = int(domain.ids[domain.next[place]]), int(domain.counts[domain.words[place]])
        if number != NONE:
            pieces[number] += times
        if NONE not in (number, after):
            pairs[number, after] += times
    return pieces, pairs


def test_too_few_pieces_are_reported() -> None:
    with pytest.raises(InvalidVocabulary, match="of the 100000 requested new pieces"):
        extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, job(new_pieces=100000), threads=1)


@pytest.mark.parametrize(
    ("piece", "digits", "allowed"),
    [("1'b", False, False), ("1'b", True, True), ("a" * 25, True, False), ("x</s>", True, False), ("</s", True, True)],
)
def test_length_digits_and_reserved_names_decide(piece: str, digits: bool, allowed: bool) -> None:
    assert is_allowed(piece, 24, digits, re.compile("</s>")) is allowed


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80))
def test_the_extended_model_decodes_what_it_encodes(text: str) -> None:
    if base.decode(base.encode(text)) == text:
        assert extended.decode(extended.encode(text)) == text


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="abcdef_01[]();▁\n \t\r\x00clk", max_size=60))
def test_words_cross_only_line_breaks_and_the_white_space_after_them(text: str) -> None:
    names = VOCABULARY.symbols
    for word in count_words(VOCABULARY, {"a": [text]}, 1).counts:
        pieces = [names[index] for index in memoryview(word).cast("i")]
        assert len(word) == BYTES * len(pieces)
        joined = "".join(pieces)
        assert len(pieces) == 1 or not re.search("[^▁\n\t][▁\t]|[\r\0]|<0x", joined)
