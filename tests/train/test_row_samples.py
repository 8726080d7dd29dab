"""Every row is used once per epoch and never cut, with loss on its answer, in an order that no layout changes."""

import json
from pathlib import Path

import numpy as np
import pytest

from tapeout.config.sft import Sft
from tapeout.data.encode.encoded_rows import read_encoded
from tapeout.encoder.load import load_encoder
from tapeout.train.methods import sft
from tapeout.train.row_samples import all_rows, lay_out, row_samples
from tests.nemo.tiny_model import instruction_set, tokenizer_model

pytestmark = pytest.mark.environment("nemo")


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the encoded rows."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "tokenizer.model").write_bytes(tokenizer_model())
    return instruction_set(folder, load_encoder(folder))[1]


def job(micro_batch_size: int) -> Sft:
    return Sft(
        max_steps=10,
        warmup_steps=1,
        seq_length=64,
        global_batch_size=4,
        micro_batch_size=micro_batch_size,
        val_check_interval=5,
    )


def test_rows_are_laid_out_with_their_labels_and_masks() -> None:
    rows = [([1, 5, 6, 2], [0, 0, 1, 1]), ([1, 7, 2], [0, 1, 1])]
    samples = lay_out(rows, [[1, 0]], 8)
    assert samples.tokens.tolist() == [[1, 7, 1, 5, 6, 0, 0, 0]]
    assert samples.labels.tolist() == [[7, 2, 5, 6, 2, 0, 0, 0]]
    assert samples.mask.tolist() == [[1, 1, 0, 1, 1, 0, 0, 0]]
    assert samples.segments is not None and samples.segments.tolist() == [[0, 0, 1, 1, 1, -1, -1, -1]]


def test_samples_do_not_depend_on_the_micro_batch(encoded: Path) -> None:
    rows = read_encoded(encoded / "train.jsonl", 64)
    first, second = row_samples(rows, job(4)), row_samples(rows, job(1))
    assert np.array_equal(first.tokens, second.tokens) and np.array_equal(first.mask, second.mask)
    assert len(first.tokens) == 40
    assert all_rows(rows, 64).mask.sum() == sum(sum(mask[1:]) for _, mask in rows)


def test_the_method_reads_every_set(encoded: Path) -> None:
    one = sft.data(job(4), encoded, {"encoded": [encoded]})
    two = sft.data(job(4), encoded, {"encoded": [encoded, encoded]})
    assert one.validation is not None and two.validation is not None and one.val_check_interval == 5
    assert two.validation.mask.sum() == 2 * one.validation.mask.sum()
    lines = [json.loads(line) for line in (encoded / "train.jsonl").open()]
    named = [name.partition("train.jsonl:") for name in one.names_in(range(1))]
    ids = [token for _, _, line in named for token in lines[int(line) - 1]["ids"][:-1]]
    assert {folder for folder, _, _ in named} == {"encoded/encoded/"}
    assert one.train.tokens[0, : len(ids)].tolist() == ids and not one.train.tokens[0, len(ids) :].any()
    assert sft.files(job(4)) == {"prompt_template.json": '{"template": "{input}\\n### Answer: {output}"}\n'}
