"""Each check passes a good model and reports what is wrong with a bad one."""

import pytest

from tapeout.encoder.errors import InvalidVocabulary
from tapeout.encoder.fast_tokenizer import fast_tokenizer
from tapeout.encoder.sentencepiece import SentencePieceEncoder
from tapeout.encoder.vocabulary import SentencePieceVocabulary, extend, parse
from tapeout.tokenizer.checks import (
    Efficiency,
    check,
    check_base_pieces,
    check_efficiency,
    check_round_trip,
    check_size,
    measure,
)
from tapeout.tokenizer.extension import extend_vocabulary
from tests.tokenizer.material import BASE, DOMAIN, GENERAL, PROSE, VOCABULARY, core, job

pytestmark = pytest.mark.environment("nemo")

base = VOCABULARY.encoder
extension = extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, job(), threads=1)
held_out = core("gamma", 3)


def test_a_good_extension_passes_and_is_reported() -> None:
    report = check(VOCABULARY, extension, held_out, PROSE, job(), threads=1)
    size = base.size
    assert report["vocabulary"] == {"base": size, "extended": size + 24, "multiple": 4}
    assert report["test"]["domain"]["change"] < -0.05
    assert report["test"]["domain"]["bytes"] == sum(len(text.encode()) for text in held_out)
    assert [piece["id"] for piece in report["pieces"]] == list(range(size, size + 24))
    extended = extension.vocabulary.encoder
    assert all(extended.id_to_piece(piece["id"]) == piece["piece"] for piece in report["pieces"])


def test_new_scores_are_below_all_others_and_descend() -> None:
    pieces = parse(extension.vocabulary.content).pieces
    scores = [piece.score for piece in pieces[base.size :]]
    assert scores == sorted(set(scores), reverse=True)
    assert scores[0] < min(piece.score for piece in parse(BASE).pieces)


@pytest.mark.parametrize("text", ["a <s>b</s>", "x <unk> y", "<s>", "</s><s>"])
def test_test_text_may_contain_names_of_control_pieces(text: str) -> None:
    library = fast_tokenizer(extension.vocabulary.content)
    report = check(VOCABULARY, extension, [*held_out, text], [*PROSE, text], job(), 1, library)
    assert report["gates"]["same_ids"] == len(held_out) + len(PROSE) + 2


@pytest.mark.parametrize("general", [[], [""]])
def test_empty_test_text_is_reported(general: list[str]) -> None:
    with pytest.raises(InvalidVocabulary, match="no general test text"):
        check(VOCABULARY, extension, held_out, general, job(), threads=1)


def test_a_changed_base_piece_is_reported() -> None:
    proto = parse(extension.vocabulary.content)
    proto.pieces[300].piece = "changed"
    with pytest.raises(InvalidVocabulary, match="Piece 300"):
        check_base_pieces(VOCABULARY, SentencePieceVocabulary(proto.SerializeToString()))


def test_a_missing_base_piece_is_reported() -> None:
    with pytest.raises(InvalidVocabulary, match="None in the extended"):
        check_base_pieces(extension.vocabulary, VOCABULARY)


def test_a_size_that_is_no_multiple_is_reported_with_a_fix() -> None:
    with pytest.raises(InvalidVocabulary, match="not a multiple of 1000") as caught:
        check_size(base, job(multiple=1000))
    assert "Add 560" in caught.value.fix


def test_lost_text_is_reported() -> None:
    lossy = parse(BASE)
    lossy.normalizer_spec.remove_extra_whitespaces = True
    with pytest.raises(InvalidVocabulary, match="does not survive"):
        check_round_trip(base, SentencePieceEncoder(lossy.SerializeToString()), ["two  spaces"], 8)


def test_text_that_the_base_model_changes_is_counted() -> None:
    assert check_round_trip(base, base, ["a ▁ b", "plain"], 8) == {"documents": 2, "changed_by_base": 1}


def test_an_extension_without_savings_is_reported() -> None:
    same = measure(base, base, held_out, 1)
    with pytest.raises(InvalidVocabulary, match="domain test text"):
        check_efficiency(same, same, 0.005)


def test_changed_general_text_is_reported() -> None:
    saved, changed = Efficiency(1, 100, 50, 40), Efficiency(1, 1000, 1000, 990)
    check_efficiency(saved, changed, 0.011)
    with pytest.raises(InvalidVocabulary, match=r"-1.00%, more than 0.50%"):
        check_efficiency(saved, changed, 0.005)


def test_a_model_with_a_normalizer_is_unsupported() -> None:
    proto = parse(BASE)
    proto.normalizer_spec.name = "nmt_nfkc"
    with pytest.raises(InvalidVocabulary):
        extend(proto.SerializeToString(), ["x"])
