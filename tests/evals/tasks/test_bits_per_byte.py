"""Bits per byte against a computation by hand, and the sample of documents."""

from math import log2
from typing import Any

import pytest
import torch

from tapeout.evals.loaded_model import LoadedModel
from tapeout.evals.tasks.bits_per_byte import Excerpt, sample_documents, score_documents

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
    [score] = score_documents(model, [Excerpt(text, "d", True)], 0.25, 4096)
    assert score.bits == pytest.approx(bits_by_hand(model, ids), abs=2e-3)
    assert score.bytes == len(text.encode()) == len(text) + 2
    assert score.tokens == len(ids) - 1


def test_end_token_counts_only_for_complete_documents(model: LoadedModel) -> None:
    text = "input wire clk"
    [part] = score_documents(model, [Excerpt(text, "d", False)], 0.25, 4096)
    assert part.bits == pytest.approx(bits_by_hand(model, [1, *model.encoder.encode(text)]), abs=2e-3)
    assert part.tokens == len(model.encoder.encode(text))


def test_long_document_is_the_sum_of_its_windows(model: LoadedModel, verilog: str) -> None:
    text = verilog * 3
    ids = [1, *model.encoder.encode(text), 2]
    assert len(ids) > 2 * CONTEXT
    [score] = score_documents(model, [Excerpt(text, "d", True)], 0.25, 4096)
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
    excerpts = [Excerpt(text, str(index), True) for index, text in enumerate(texts)]
    alone = [score_documents(model, [excerpt], 0.25, 1)[0].bits for excerpt in excerpts]
    for batch_tokens in (1, 100, 4096):
        together = score_documents(model, excerpts, 0.25, batch_tokens)
        assert [score.bits for score in together] == pytest.approx(alone, abs=2e-3)


def documents(count: int) -> list[dict[str, Any]]:
    return [{"text": f"line {index}\n" * 10, "digest": f"{index:064x}"} for index in range(count)]


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
    assert [cut.complete for cut in sample_documents([{"text": "ab\ncd", "digest": "0"}], 9, limit)] == [complete]
