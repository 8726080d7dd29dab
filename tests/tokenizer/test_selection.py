"""A selection decides how many candidates become pieces, and the size of the vocabulary stays a multiple."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tapeout.config.tokenizer import Coverage, Marginal, Tokenizer
from tapeout.tokenizer.extension import extend_vocabulary
from tapeout.tokenizer.method import Material
from tests.tokenizer.material import DOMAIN, GENERAL, VOCABULARY, job

pytestmark = pytest.mark.environment("nemo")

GAINS = st.lists(st.integers(1, 1000), max_size=40).map(lambda gains: sorted(gains, reverse=True))


@given(GAINS, st.floats(0.01, 1))
def test_coverage_takes_the_fewest_pieces_with_the_share(gains: list[int], share: float) -> None:
    number = Coverage(by="coverage", share=share).number(gains, 10)
    wanted = share * sum(gains)
    assert sum(gains[:number]) >= wanted and (not number or sum(gains[: number - 1]) < wanted)


@given(GAINS, st.floats(1, 1e6))
def test_marginal_stops_before_the_first_small_gain(gains: list[int], limit: float) -> None:
    number = Marginal(by="marginal", min_saving=limit).number(gains, 1000)
    assert all(gain * 1000 >= limit for gain in gains[:number])
    assert number == len(gains) or gains[number] * 1000 < limit


@pytest.mark.parametrize(("number", "candidates", "chosen"), [(1, 9, 4), (4, 9, 4), (5, 9, 8), (9, 9, 8), (0, 0, 0)])
def test_a_computed_number_is_rounded_to_the_next_multiple(number: int, candidates: int, chosen: int) -> None:
    settings = job(multiple=4, selection={"by": "marginal", "min_saving": 1e6})
    material = Material(VOCABULARY, DOMAIN, GENERAL, settings, 1)  # 440 pieces
    tokens = material.domain_words.tokens
    assert material.selected([tokens] * number + [0] * (candidates - number)) == chosen


def test_fewer_pieces_are_the_first_of_more() -> None:
    more = extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, job(), threads=1).pieces
    covered = {"selection": {"by": "coverage", "share": 0.5}}
    fewer = extend_vocabulary(VOCABULARY, DOMAIN, GENERAL, job(**covered), threads=1).pieces
    assert 0 < len(fewer) < len(more) and fewer == more[: len(fewer)] and len(fewer) % 4 == 0


def test_a_method_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="no method continued_bep; did you mean continued_bpe"):
        Tokenizer.model_validate({"method": "continued_bep"})
    assert Tokenizer().method_module == "tapeout.tokenizer.methods.continued_bpe"
    assert Tokenizer.model_validate({"method": "my_team.pieces"}).method_module == "my_team.pieces"
