"""Bits per byte and answer loss against computations by hand."""

from math import log2

import pytest
import torch
from transformers import LlamaForCausalLM

from tapeout.encoder.interface import Encoder
from tapeout.evals.answers import encode_questions, score_answers
from tapeout.evals.bits_per_byte import score_documents
from tapeout.evals.rows import Excerpt, Question
from tapeout.evals.windows import Window, nats, split

pytestmark = pytest.mark.environment("nemo")

CONTEXT = 64


def bits_by_hand(model: LlamaForCausalLM, ids: list[int]) -> float:
    """One forward pass per token, plain softmax in double precision."""
    total = 0.0
    for position in range(1, len(ids)):
        with torch.inference_mode():
            logits = model(torch.tensor([ids[:position]])).logits[0, -1].double()
        total -= log2(torch.softmax(logits, -1)[ids[position]].item())
    return total


def test_bits_of_a_document_that_fits(model: LlamaForCausalLM, tokenizer: Encoder) -> None:
    text = "input wire clk ✓"
    ids = [1, *tokenizer.encode(text), 2]
    assert len(ids) < CONTEXT
    [score] = score_documents(model, tokenizer, [Excerpt(text, "d", True)], CONTEXT, 0.25, 4096)
    assert score.bits == pytest.approx(bits_by_hand(model, ids), abs=2e-3)
    assert score.bytes == len(text.encode()) == len(text) + 2
    assert score.tokens == len(ids) - 1


def test_end_mark_counts_only_for_whole_documents(model: LlamaForCausalLM, tokenizer: Encoder) -> None:
    text = "input wire clk"
    [part] = score_documents(model, tokenizer, [Excerpt(text, "d", False)], CONTEXT, 0.25, 4096)
    assert part.bits == pytest.approx(bits_by_hand(model, [1, *tokenizer.encode(text)]), abs=2e-3)
    assert part.tokens == len(tokenizer.encode(text))


def test_long_document_is_the_sum_of_its_windows(model: LlamaForCausalLM, tokenizer: Encoder, verilog: str) -> None:
    text = verilog * 3
    ids = [1, *tokenizer.encode(text), 2]
    assert len(ids) > 2 * CONTEXT
    [score] = score_documents(model, tokenizer, [Excerpt(text, "d", True)], CONTEXT, 0.25, 4096)
    expected, start, predicted = 0.0, 0, 1
    while predicted < len(ids):
        window = ids[start : start + CONTEXT]
        first = predicted - start
        expected += bits_by_hand(model, window) - bits_by_hand(model, window[:first])
        predicted = start + len(window)
        start = predicted - CONTEXT // 4
    assert score.bits == pytest.approx(expected, abs=5e-3)


@pytest.mark.parametrize("length", [2, 63, 64, 65, 100, 300])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.9])
def test_windows_predict_each_token_once(length: int, overlap: float) -> None:
    ids = list(range(length))
    windows = list(split(0, ids, CONTEXT, overlap))
    predicted = [token for window in windows for token in window.ids[window.first :]]
    assert predicted == ids[1:]
    assert all(len(window.ids) <= CONTEXT and window.first >= 1 for window in windows)
    assert all(window.first >= max(1, int(overlap * CONTEXT)) for window in windows[1:])


def test_batches_and_padding_do_not_matter(model: LlamaForCausalLM, tokenizer: Encoder, verilog: str) -> None:
    texts = [verilog[:length] for length in (1, 5, 17, 40, 80, 109)]
    excerpts = [Excerpt(text, str(index), True) for index, text in enumerate(texts)]
    alone = [score_documents(model, tokenizer, [each], CONTEXT, 0.25, 1)[0].bits for each in excerpts]
    for batch_tokens in (1, 100, 4096):
        together = score_documents(model, tokenizer, excerpts, CONTEXT, 0.25, batch_tokens)
        assert [score.bits for score in together] == pytest.approx(alone, abs=2e-3)


def test_more_logits_than_one_part(model: LlamaForCausalLM) -> None:
    windows = [Window(index % 3, [1] + [5 + index % 7] * 63, 1) for index in range(40)]
    whole = nats(model, windows, 3, 100_000)
    parts = [nats(model, windows[index : index + 1], 3, 64) for index in range(40)]
    assert whole == pytest.approx([sum(part[owner] for part in parts) for owner in range(3)], rel=1e-6)


def test_loss_counts_the_answer_only(model: LlamaForCausalLM, tokenizer: Encoder) -> None:
    question = Question("How wide is q?", "[7:0]", "width", "serv", "ISC", "digest")
    [row] = encode_questions(tokenizer, "{input}\n### Answer: {output}", [question])
    prompt = [1, *tokenizer.encode("How wide is q?\n### Answer: ")]
    answer = [*tokenizer.encode("[7:0]"), 2]
    assert (list(row.prompt), list(row.answer)) == (prompt, answer)
    [score] = score_answers(model, [row], 4096)
    expected = bits_by_hand(model, prompt + answer) - bits_by_hand(model, prompt)
    assert score.nats / 0.6931471805599453 == pytest.approx(expected, abs=2e-3)
    assert (score.tokens, score.bytes) == (len(answer), 5)
