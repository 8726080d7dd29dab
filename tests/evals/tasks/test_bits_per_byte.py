"""Bits per byte against a computation by hand, and the sample of documents."""

import json
from dataclasses import replace
from itertools import pairwise
from math import log2
from random import Random
from typing import Any

import pytest
import torch

from tapeout.evals.documents import Excerpt, sample_documents, score_documents
from tapeout.evals.loaded_model import LoadedModel
from tapeout.evals.tasks.bits_per_byte import TASK
from tests.toys.byte_encoder import ByteEncoder
from tests.toys.toy_networks import ToyNetwork, bigrams

pytestmark = pytest.mark.environment("nemo")

CONTEXT = 64


def bits_by_hand(model: LoadedModel, ids: list[int]) -> float:
    """Compute bits with one forward pass per token and a plain softmax in double precision."""
    total = 0.0
    for position in range(1, len(ids)):
        with torch.inference_mode():
            logits = model.network(torch.tensor([ids[:position]])).logits[0, -1].double()
        total -= log2(torch.softmax(logits, -1)[ids[position]].item())
    return total


def test_bits_of_a_document_that_fits(model: LoadedModel) -> None:
    text = "input wire clk ✓"
    ids = [1, *model.encoder.encode(text), 2]
    assert len(ids) < CONTEXT
    [score] = score_documents(model, [Excerpt(text, "d", "s", True)], 0.25, 4096)
    assert score.bits == pytest.approx(bits_by_hand(model, ids), abs=2e-3)
    assert score.bytes == len(text.encode()) == len(text) + 2
    assert score.tokens == len(ids) - 1


def test_end_token_counts_only_for_complete_documents(model: LoadedModel) -> None:
    text = "input wire clk"
    [part] = score_documents(model, [Excerpt(text, "d", "s", False)], 0.25, 4096)
    assert part.bits == pytest.approx(bits_by_hand(model, [1, *model.encoder.encode(text)]), abs=2e-3)
    assert part.tokens == len(model.encoder.encode(text))


def test_long_document_is_the_sum_of_its_windows(model: LoadedModel, verilog: str) -> None:
    text = verilog * 3
    ids = [1, *model.encoder.encode(text), 2]
    assert len(ids) > 2 * CONTEXT
    [score] = score_documents(model, [Excerpt(text, "d", "s", True)], 0.25, 4096)
    expected, start, predicted = 0.0, 0, 1
    while predicted < len(ids):
        window = ids[start : start + CONTEXT]
        first = predicted - start
        expected += bits_by_hand(model, window) - bits_by_hand(model, window[:first])
        predicted = start + len(window)
        start = predicted - CONTEXT // 4
    assert score.bits == pytest.approx(expected, abs=5e-3)


def test_batches_and_padding_do_not_matter(model: LoadedModel, verilog: str) -> None:
    texts = [verilog[:length] for length in (1, 5, 17, 40, 80, 109)]
    excerpts = [Excerpt(text, str(index), "s", True) for index, text in enumerate(texts)]
    alone = [score_documents(model, [excerpt], 0.25, 1)[0].bits for excerpt in excerpts]
    for batch_tokens in (1, 100, 4096):
        together = score_documents(model, excerpts, 0.25, batch_tokens)
        assert [score.bits for score in together] == pytest.approx(alone, abs=2e-3)


def documents(count: int) -> list[dict[str, Any]]:
    return [{"text": f"line {index}\n" * 10, "digest": f"{index:064x}", "source": "s"} for index in range(count)]


def test_sample_does_not_depend_on_order_and_keeps_its_beginning() -> None:
    few, many = documents(50), documents(60)
    sample = sample_documents(few, 800, 1000)
    assert sample == sample_documents(reversed(few), 800, 1000)
    assert 0 < sum(len(excerpt.text.encode()) for excerpt in sample) <= 800
    larger = sample_documents(few, 1600, 1000)
    assert larger[: len(sample)] == sample
    # more documents move none: those of the old sample stay in their order
    order = [excerpt.digest for excerpt in sample_documents(many, 10**9, 1000)]
    kept = [digest for digest in order if int(digest, 16) < 50]
    assert kept == [excerpt.digest for excerpt in sample_documents(few, 10**9, 1000)]
    assert len(sample_documents(few, 1, 1000)) == 1  # the first document is always taken


@pytest.mark.parametrize(("limit", "complete"), [(4, False), (5, True)])
def test_a_cut_document_is_not_complete(limit: int, complete: bool) -> None:
    assert [cut.complete for cut in sample_documents([{"text": "ab\ncd", "digest": "0", "source": "s"}], 9, limit)] == [
        complete
    ]


LETTERS = b"abcd"
PAIRS = [LETTERS[index : index + 1] for index in range(4)] + [bytes((a, b)) for a in LETTERS for b in LETTERS]
"""Pieces of the second tokenizer: single letters, which only end a text of odd length, then pairs."""
ENDS = 0.04
"""Probability that a text ends after a letter."""


class PairEncoder(ByteEncoder):
    """Tokenizer of texts of four letters: pairs, and one letter at the end of a text of odd length."""

    size = len(PAIRS) + 2
    bos, eos = len(PAIRS), len(PAIRS) + 1

    def encode(self, text: str) -> list[int]:
        """Return the ids of pairs of letters."""
        return [PAIRS.index(text[start : start + 2].encode()) for start in range(0, len(text), 2)]


class LetterEncoder(ByteEncoder):
    """Bytes with a begin token."""

    bos = 257


def letter_model() -> torch.Tensor:
    """Return the probability of each byte or end (256) after each byte or begin (257)."""
    table = torch.zeros(258, 258, dtype=torch.float64)
    generator = torch.Generator().manual_seed(5)
    for before in (*LETTERS, 257):
        weights = torch.rand(4, generator=generator, dtype=torch.float64) + 0.05
        table[before, list(LETTERS)] = weights / weights.sum() * (1 - ENDS)
        table[before, 256] = ENDS
    return table


def pair_model(letters: torch.Tensor) -> torch.Tensor:
    """Return the table for pairs that gives every text the probability that the letters give it."""
    table = torch.zeros(len(PAIRS) + 2, len(PAIRS) + 2, dtype=torch.float64)
    begin, end = len(PAIRS), len(PAIRS) + 1
    table[:4, end] = 1
    for number, piece in [*enumerate(PAIRS[4:], start=4), (begin, b"")]:
        last = piece[-1] if piece else 257
        table[number, end] = letters[last, 256]
        for other, (first, *rest) in enumerate(PAIRS):
            table[number, other] = letters[last, first] * (letters[first, rest[0]] if rest else letters[first, 256])
    return table


def texts_of_letters() -> list[str]:
    chance = Random(11)
    return ["".join(chance.choices("abcd", k=length)) for length in (127, 128, 129, 200, 401, 1000)]


def bits_per_byte_of(
    model: LoadedModel, network: ToyNetwork, encoder: ByteEncoder, overlap: float, context: int = 16
) -> list[float]:
    """Return bits per byte of each text under a toy model."""
    toy: Any = replace(
        model, network=network, encoder=encoder, facts=model.facts.model_copy(update={"context": context})
    )
    excerpts = [Excerpt(text, text, "s", True) for text in texts_of_letters()]
    return [score.bits / score.bytes for score in score_documents(toy, excerpts, overlap, 256)]


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_bits_of_a_bigram_model_by_hand_over_many_windows(model: LoadedModel, overlap: float) -> None:
    """A token that is skipped or counted twice at the edge of a window would change the sum by more than 1e-6."""
    table = letter_model()
    by_hand = []
    for text in texts_of_letters():
        ids = [257, *text.encode(), 256]
        by_hand.append(-sum(log2(table[before, after]) for before, after in pairwise(ids)) / len(text))
    assert bits_per_byte_of(model, bigrams(table), LetterEncoder(), overlap) == pytest.approx(by_hand, abs=1e-6)


def test_bits_of_a_uniform_model_by_hand(model: LoadedModel) -> None:
    """The end token has no bytes and counts as a token: 258 equally likely pieces, log2(258) bits for each."""
    uniform = ToyNetwork(lambda row, index: torch.zeros(258, dtype=torch.float64))
    by_hand = [log2(258) * (len(text) + 1) / len(text) for text in texts_of_letters()]
    assert bits_per_byte_of(model, uniform, LetterEncoder(), 0.25) == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize(
    ("overlap", "bits"),
    [
        (0.25, sum(range(1, 8)) + sum(range(2, 8)) * 2),
        (0.0, sum(range(1, 8)) * 2 + sum(range(1, 6))),
    ],
)
def test_the_context_of_each_token_by_hand(model: LoadedModel, overlap: float, bits: int) -> None:
    """A token with n tokens before it in its window costs n bits, so the windows can be read from the sum.

    Begin, 18 letters and end in windows of 8: with an overlap of two tokens, windows begin at 0, 6 and 12.
    """

    def predict(row: list[int], index: int) -> torch.Tensor:
        target = row[index + 1] if index + 1 < len(row) else 0
        probability = 2.0 ** -(index + 1)
        logits = torch.full((258,), (1 - probability) / 257, dtype=torch.float64)
        logits[target] = probability
        return logits.log()

    toy: Any = replace(model, network=ToyNetwork(predict), encoder=LetterEncoder())
    toy = replace(toy, facts=model.facts.model_copy(update={"context": 8}))
    [score] = score_documents(toy, [Excerpt("abcdabcdabcdabcdab", "d", "s", True)], overlap, 64)
    assert score.bits == pytest.approx(bits, abs=1e-4)


def test_two_tokenizers_with_the_same_text_probability_have_the_same_value(model: LoadedModel) -> None:
    letters = letter_model()
    assert pair_model(letters)[4:-1].sum(1) == pytest.approx(1)
    one = bits_per_byte_of(model, bigrams(letters), LetterEncoder(), 0.25)
    two = bits_per_byte_of(model, bigrams(pair_model(letters)), PairEncoder(), 0.25)
    assert two == pytest.approx(one, abs=1e-6)


def test_sources_of_a_corpus_are_measures_of_their_own(model: LoadedModel, tmp_path: Any) -> None:
    rows = [{"text": f"wire w{index};", "digest": f"{index:064x}", "source": "ab"[index % 2]} for index in range(5)]
    (tmp_path / "domain").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "general").write_text("".join(json.dumps({**row, "source": "c"}) + "\n" for row in rows))
    result = TASK.score(model, {name: tmp_path / name for name in ("domain", "general")}, TASK.options())
    measures = {measure.name: (measure, units) for measure, units in TASK.measure(result, TASK.options())}
    parts = [f"bits_per_byte.{part}" for part in ("domain", "general", "domain.a", "domain.b")]
    assert list(measures) == parts
    assert [(len(units), measure.total) for measure, units in measures.values()] == [(5, 5), (5, 5), (3, 3), (2, 2)]
    whole, *halves = (sum(unit.numerator for unit in measures[name][1]) for name in (parts[0], parts[2], parts[3]))
    assert whole == pytest.approx(sum(halves))
    assert measures["bits_per_byte.domain.a"][0].label == "Bits per byte, domain text of a"
