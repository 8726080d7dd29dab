"""Every row once, no row cut, loss on answers alone, an order that no layout can change."""

import json
from pathlib import Path

import numpy as np
import pytest

from tapeout.config.dapt import Dapt
from tapeout.config.sft import Sft
from tapeout.data.encode.packing import blend, endless_order, pack, windows
from tapeout.data.encode.prompt import BadTemplate, encode_example, encode_prompt, prompt_text, split_template
from tapeout.data.io.jsonl import MalformedRow
from tapeout.encoder.load import load_encoder
from tapeout.train.samples import TooLittleData, all_rows, packed, read_rows, row_samples, text_samples
from tests.nemo.material import ROWS, rows_file, tokenizer_model

pytestmark = pytest.mark.environment("nemo")

TEMPLATE = "{input}\n### Answer: {output}"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    path.write_bytes(tokenizer_model())
    return path


def test_template_parts() -> None:
    assert split_template("Q: {input}\nA: {output}") == ("Q: ", "\nA: ", "")
    assert prompt_text(TEMPLATE, "a {output} {input} {{") == "a {output} {input} {{\n### Answer: "


@pytest.mark.parametrize("bad", ["{input}", "{output}{input}", "{input}{output}.", "{input}{input}{output}", "x"])
def test_bad_templates(bad: str) -> None:
    with pytest.raises(BadTemplate):
        split_template(bad)
    with pytest.raises(ValueError, match="needs one"):
        Sft(template=bad)


def test_loss_is_on_the_answer_and_its_end(tokenizer: Path) -> None:
    processor = load_encoder(tokenizer)
    ids, mask = encode_example(processor, TEMPLATE, "in {x}", "the answer")
    prompt = encode_prompt(processor, TEMPLATE, "in {x}")
    answer = processor.encode("the answer")
    assert ids == [*prompt, *answer, 2] and ids[0] == 1
    assert mask == [0] * len(prompt) + [1] * (len(answer) + 1)


def test_windows_predict_every_token_once() -> None:
    cut = windows([[1, 10, 11, 2], [1, 12, 2]], 3)
    assert cut.tolist() == [[1, 10, 11, 2], [2, 1, 12, 2]]


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.3, 0.5])
def test_blend_is_exact_and_even(fraction: float) -> None:
    second = blend(1000, fraction)
    assert second.sum() == round(1000 * fraction)
    assert abs(second[:100].sum() - 100 * fraction) <= 1


def test_order_draws_without_replacement_and_depends_on_the_seed_alone() -> None:
    order = endless_order(1, 10, 25)
    assert sorted(order[:10]) == list(range(10)) == sorted(order[10:20])
    assert order.tolist() == endless_order(1, 10, 100)[:25].tolist() != endless_order(2, 10, 25).tolist()


def test_packing_takes_every_row_once_and_cuts_none() -> None:
    lengths = np.random.default_rng(0).integers(1, 64, 500).tolist()
    bins = pack(lengths, np.arange(500), 64)
    assert sorted(row for members in bins for row in members) == list(range(500))
    assert max(sum(lengths[row] for row in members) for members in bins) <= 64
    assert len(bins) * 64 < 1.1 * sum(lengths)


def test_long_rows_are_dropped_and_counted(tokenizer: Path, tmp_path: Path) -> None:
    path = rows_file(tmp_path / "rows.jsonl")
    kept, dropped = read_rows(path, tokenizer, TEMPLATE, 64)
    assert len(kept) + dropped == len(ROWS) and dropped == 0
    limit = sorted(len(ids) - 1 for ids, _ in kept)[len(kept) // 2]
    fewer, dropped = read_rows(path, tokenizer, TEMPLATE, limit)
    assert dropped > 0 and len(fewer) == len(ROWS) - dropped and max(len(ids) for ids, _ in fewer) == limit + 1
    with pytest.raises(TooLittleData):
        read_rows(path, tokenizer, TEMPLATE, 3)


def test_packed_rows_keep_their_labels_and_masks() -> None:
    rows = [([1, 5, 6, 2], [0, 0, 1, 1]), ([1, 7, 2], [0, 1, 1])]
    samples = packed(rows, [[1, 0]], 8)
    assert samples.tokens.tolist() == [[1, 7, 1, 5, 6, 0, 0, 0]]
    assert samples.labels.tolist() == [[7, 2, 5, 6, 2, 0, 0, 0]]
    assert samples.mask.tolist() == [[1, 1, 0, 1, 1, 0, 0, 0]]
    assert samples.segments is not None and samples.segments.tolist() == [[0, 0, 1, 1, 1, -1, -1, -1]]


def test_the_micro_batch_is_not_in_the_samples(tokenizer: Path, tmp_path: Path) -> None:
    rows, _ = read_rows(rows_file(tmp_path / "rows.jsonl"), tokenizer, TEMPLATE, 64)
    first = row_samples(rows, Sft(steps=10, warm_up=1, seq_length=64, global_batch=4, micro_batch=4, validate_every=5))
    second = row_samples(rows, Sft(steps=10, warm_up=1, seq_length=64, global_batch=4, micro_batch=1, validate_every=5))
    assert np.array_equal(first.tokens, second.tokens) and np.array_equal(first.mask, second.mask)
    assert len(first.tokens) == 40
    assert all_rows(rows, 64).mask.sum() == sum(sum(mask) for _, mask in rows)


def test_text_is_blended(tokenizer: Path, tmp_path: Path) -> None:
    for corpus, word in (("domain", "clk "), ("general", "ready ")):
        (tmp_path / corpus).mkdir()
        (tmp_path / corpus / "train.jsonl").write_text(json.dumps({"text": word * 400}) + "\n")
    job = Dapt(steps=5, warm_up=1, seq_length=16, global_batch=4, micro_batch=2, general_fraction=0.25)
    paths = tmp_path / "domain/train.jsonl", tmp_path / "general/train.jsonl"
    samples = text_samples(*paths, tokenizer, job)
    general = load_encoder(tokenizer).encode("ready ready")[-1]
    assert samples.tokens.shape == (20, 16)
    assert sum(general in row for row in samples.tokens) == 5
    assert np.array_equal(samples.tokens[:, 1:], samples.labels[:, :-1])
    assert np.array_equal(samples.tokens, text_samples(*paths, tokenizer, job).tokens)
    (tmp_path / "general/train.jsonl").write_text(json.dumps({"text": "x"}) + "\n")
    with pytest.raises(TooLittleData, match="general"):
        text_samples(*paths, tokenizer, job)


def test_a_bad_line_is_named_with_its_number(tokenizer: Path, tmp_path: Path) -> None:
    rows, text = rows_file(tmp_path / "rows.jsonl"), tmp_path / "text.jsonl"
    rows.write_text(rows.read_text() + '{"input": "no output"}\n')
    with pytest.raises(MalformedRow, match=rf"rows\.jsonl, line {len(ROWS) + 1}: field 'output'"):
        read_rows(rows, tokenizer, TEMPLATE, 64)
    text.write_text('{"text": "clk"}\n{"text": \n')
    with pytest.raises(MalformedRow, match=r"text\.jsonl, line 2: not JSON"):
        text_samples(text, text, tokenizer, Dapt())


@pytest.mark.parametrize(
    "wrong", [{"steps": 10, "warm_up": 6}, {"global_batch": 6, "micro_batch": 4}, {"steps": 50, "validate_every": 60}]
)
def test_settings_that_do_not_fit_each_other(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Sft(**{"warm_up": 1, **wrong})
