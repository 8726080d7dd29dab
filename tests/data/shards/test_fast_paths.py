"""Fast implementations agree with the patterns that define them."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.pretraining import Scrub
from tapeout.data.io.text import CONTROLS, clean_text
from tapeout.data.shards.cleaning import EMAIL, NOT_WORDS, SECRETS, SPACE, measure, scrub
from tapeout.data.shards.signatures import elements, word_hashes

pytestmark = pytest.mark.environment("corpus")

TEXTS = st.one_of(
    st.text(st.characters(codec=None), max_size=40),
    st.text(st.sampled_from([*" \t\n\x0b\x1c\x85\xa0ab_09é漢،:<=;()\u3000\u2028\ufeff\x00\x7f"]), max_size=40),
    st.text(st.characters(codec="ascii"), max_size=40),
)


@settings(deadline=None, max_examples=500)
@given(TEXTS)
def test_measure_agrees_with_the_patterns(text: str) -> None:
    dense = SPACE.sub("", text)
    assert measure(text) == (len(dense), len(NOT_WORDS.sub("", dense)))


@settings(deadline=None, max_examples=500)
@given(TEXTS)
def test_control_characters_are_removed(text: str) -> None:
    repaired = Counter[str]()
    ends = text.replace("\r\n", "\n").replace("\r", "\n")
    assert clean_text(text, repaired) == CONTROLS.sub("", ends)
    assert ("control characters" in repaired) == bool(CONTROLS.search(ends))


@settings(deadline=None, max_examples=500)
@given(TEXTS)
def test_word_hashes_agree_with_the_pattern(text: str) -> None:
    words = re.findall(r"\w+|[^\w\s]", text)
    hashes = word_hashes(text)
    assert len(hashes) == len(words)
    numbers = {word: int(word_hashes(word)[0]) for word in words}
    assert hashes.tolist() == [numbers[word] for word in words]
    assert len(set(numbers.values())) == len(numbers)


def test_word_hashes_of_long_texts() -> None:
    text = "one two, three " * 20_000
    assert len(set(word_hashes(text).tolist())) == 4
    assert len(set(elements(text, 5).tolist())) == 4


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----x-----END PRIVATE KEY-----",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----x-----END PGP PRIVATE KEY BLOCK-----",
        *(f"{start}{'A' * 16}" for start in ("AKIA", "ASIA")),
        *(f"gh{kind}_{'a' * 36}" for kind in "pousr"),
        f"github_pat_{'a' * 22}",
        f"glpat-{'a' * 20}",
        f"hf_{'a' * 30}",
        *(f"xox{kind}-{'a' * 10}" for kind in "abprs"),
        f"sk-{'a' * 20}",
        f"AIza{'a' * 35}",
        f"eyJ{'a' * 10}.eyJ{'a' * 10}.{'a' * 10}",
        "ftp://joe:secret@host",
    ],
)
def test_every_kind_of_secret_is_scrubbed(text: str) -> None:
    assert any(pattern.search(text) for pattern in SECRETS.values())
    counts = Counter[str]()
    assert "<secret>" in scrub(text, Scrub(secrets=True), counts) and counts.total() == 1


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from([*"ab.@-+ é9"]), max_size=30))
def test_scrubbed_addresses_agree_with_the_pattern(text: str) -> None:
    assert scrub(text, Scrub(emails=True), Counter()) == EMAIL.sub("<email>", text)
