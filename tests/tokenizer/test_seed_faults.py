"""Faults of the published notebooks in the extension of a vocabulary (docs/faults.md, F12 to F25).

The tests of the rows of new pieces (F10, F14, F18 to F21 and F26) are in ``test_seed_faults_rows.py``.
"""

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.tokenizer import Coverage
from tapeout.config.wiring import Wiring
from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.sentencepiece import KINDS
from tapeout.encoder.vocabulary import SentencePieceVocabulary, parse
from tapeout.tokenizer.checks import check
from tapeout.tokenizer.extension import Extension, check_not_lost, extend_vocabulary
from tapeout.tokenizer.method import Material
from tapeout.tokenizer.methods.chipnemo import choose, domain_pieces
from tests.tokenizer.material import DOMAIN, GENERAL, PROSE, VOCABULARY, core, job

pytestmark = pytest.mark.environment("nemo")

RULES = Path(__file__).parents[2] / "rules"
METHODS = ["chipnemo", "continued_bpe"]
RECORDED = [4, 4, 2, 2, 2, *[1] * 8]
"""Occurrences in the notebook's recorded output, of which it chose three."""


@cache
def extension(method: str) -> Extension:
    return extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, job(method=method), threads=1)


def material(**changes: Any) -> Material:
    return Material(VOCABULARY, DOMAIN, GENERAL, job(method="chipnemo", **changes), 1)


def test_f12_coverage_is_a_share_of_the_sum() -> None:
    selection = Coverage(by="coverage", share=0.98)
    assert selection.number(RECORDED, 100) == 13
    assert selection.number([1] * 20, 100) == 20
    assert selection.number([], 100) == 0
    covered = choose(material(selection={"by": "coverage", "share": 0.6}, multiple=1))
    assert 0 < len(covered) < len(choose(material()))


def test_f13_the_tokenizer_of_the_domain_is_no_file() -> None:
    assert domain_pieces(material()) == domain_pieces(material())


def test_f15_pieces_are_decoded_from_visible_bytes() -> None:
    texts = {name: [text.replace("clk", "größe") for text in texts] for name, texts in DOMAIN.items()}
    pieces = domain_pieces(Material(VOCABULARY, texts, GENERAL, job(), 1))
    assert any("größe" in piece for piece in pieces) and any(piece.startswith(" ") for piece in pieces)
    assert not any(mark in piece for piece in pieces for mark in "ĠĊĉÃ")


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(METHODS),
    st.text(st.sampled_from("clkodutwasrtifen_ \n▁é") | st.characters(exclude_categories=["Cs"])),
)
def test_f16_new_pieces_follow_all_old_merges(method: str, text: str) -> None:
    vocabulary, size = extension(method).vocabulary, VOCABULARY.encoder.size
    expanded: list[int] = []
    for index in vocabulary.encoder.encode(text):
        expanded += [index] if index < size else VOCABULARY.split(vocabulary.names[index])
    assert expanded == VOCABULARY.encoder.encode(text)
    assert all(piece.type == KINDS.NORMAL for piece in parse(vocabulary.content).pieces[size:])


@pytest.mark.parametrize("method", METHODS)
def test_f17_rare_is_a_rate_in_general_text(method: str) -> None:
    common = {"prose": [*PROSE, *core("delta", 1)]}
    settings = job(method=method, max_general_rate=1e-3, min_contrast=0, selection={"by": "marginal", "min_saving": 1})
    pieces = extend_vocabulary(VOCABULARY, DOMAIN, common, settings, threads=1)
    assert all(new.general <= 1e-3 * pieces.general_tokens for new in pieces.pieces)
    others = {new.piece for new in extension(method).pieces}
    assert others - {new.piece for new in pieces.pieces}, "the general text excludes no piece"


@pytest.mark.parametrize("method", METHODS)
def test_f22_new_is_what_the_base_vocabulary_lacks(method: str) -> None:
    size = VOCABULARY.encoder.size
    assert extension(method).vocabulary.names[size:] == [new.piece for new in extension(method).pieces]
    assert not {new.piece for new in extension(method).pieces} & set(VOCABULARY.names)


def test_f23_the_extension_and_the_training_read_one_artifact() -> None:
    settings: Any = SimpleNamespace(dapt=SimpleNamespace(reads="corpus"))
    read = Wiring(settings, lambda *parts: parts).pretraining_text["domain"]
    assert read == ("corpus/domain", "train.jsonl")
    assert 'domain=artifact("{}", "{}")'.format(*read) in (RULES / "tokenizer.smk").read_text()


@pytest.mark.parametrize("method", METHODS)
def test_f24_the_order_of_files_and_threads_changes_nothing(method: str) -> None:
    shuffled = {name: texts[::-1] for name, texts in reversed(DOMAIN.items())}
    again = extend_vocabulary(VOCABULARY, shuffled, GENERAL, job(method=method), threads=3)
    assert again.vocabulary.content == extension(method).vocabulary.content
    assert again.pieces == extension(method).pieces


@pytest.mark.parametrize("method", METHODS)
def test_f25_the_gates_pass_and_every_piece_is_reachable(method: str) -> None:
    made = extension(method)
    report = check(VOCABULARY, made, core("gamma", 3), PROSE, job(method=method), threads=1)
    assert report["test"]["domain"]["change"] < -0.03 and len(made.pieces) == 24
    for number, new in enumerate(made.pieces, start=VOCABULARY.encoder.size):
        assert made.vocabulary.split(new.piece) == [number]


def test_f25_a_text_that_encodes_to_nothing_is_reported() -> None:
    check_not_lost(["", "a"], [[], [5]])
    with pytest.raises(InvalidVocabulary, match="encodes to nothing; it begins with 'a</s>'"):
        check_not_lost(["x", "a</s>"], [[5], []])
    assert isinstance(extension("chipnemo").vocabulary, SentencePieceVocabulary)
