"""Every row is used once per epoch and never cut, with loss on its answer, in an order that no layout changes."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.sft import Sft
from tapeout.data.encode.packing import pack, permutation
from tapeout.data.errors import NotEnoughData
from tapeout.train.launch import single_rank
from tapeout.train.methods import sft
from tapeout.train.row_samples import AllRows, TrainingRows
from tapeout.train.samples import TrainingData

pytestmark = pytest.mark.environment("nemo")

Row = tuple[list[int], list[int]]
LENGTH = 16
ROWS = st.integers(2, LENGTH + 1).flatmap(
    lambda size: st.tuples(
        st.lists(st.integers(1, 99), min_size=size, max_size=size),
        st.lists(st.integers(0, 1), min_size=size, max_size=size).filter(lambda mask: any(mask[1:])),
    )
)
"""Rows with at least one loss, as the encoder writes them."""


def data(folder: Path, sets: list[list[Row]], validation: list[Row], **values: int) -> TrainingData:
    """Return the samples of the method for some encoded sets, each with the same validation split."""
    folders = [folder / f"set{number}" for number in range(len(sets))]
    for path, rows in zip(folders, sets, strict=True):
        path.mkdir()
        for split, part in (("train", rows), ("validation", validation)):
            lines = (json.dumps({"ids": ids, "mask": mask}) + "\n" for ids, mask in part)
            (path / f"{split}.jsonl").write_text("".join(lines))
    sizes = {"max_steps": 6, "warmup_steps": 0, "seq_length": LENGTH, "global_batch_size": 2, "micro_batch_size": 2}
    job = Sft(**{**sizes, "val_check_interval": 3, **values})
    return sft.data(job, folder, {"encoded": folders}, single_rank(folder / "scratch").once)


def test_rows_are_laid_out_with_their_labels_and_masks(tmp_path: Path) -> None:
    rows = [([1, 5, 6, 2], [0, 0, 1, 1]), ([1, 7, 2], [0, 1, 1])]
    found = data(tmp_path, [rows], rows, seq_length=8)
    assert found.validation is not None and len(found.validation) == 1 and found.val_check_interval == 3
    sample = found.validation[0]
    assert sample.tokens.tolist() == [1, 5, 6, 1, 7, 0, 0, 0]
    assert sample.labels.tolist() == [5, 6, 2, 7, 2, 0, 0, 0]
    assert sample.mask.tolist() == [0, 1, 1, 1, 1, 0, 0, 0]
    assert sample.segments is not None and sample.segments.tolist() == [0, 0, 0, 1, 1, -1, -1, -1]
    spans = [(span.name, span.start, span.end) for span in found.validation.sources(0)]
    assert spans == [("encoded/set0/validation.jsonl:1", 0, 3), ("encoded/set0/validation.jsonl:2", 3, 5)]
    assert sft.files(Sft(), {}) == {"prompt_template.json": '{"template": "{input}\\n### Answer: {output}"}\n'}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(ROWS, max_size=12), min_size=1, max_size=3), st.integers(0, 9), st.integers(1, 8))
def test_every_sequence_is_the_one_that_packing_all_epochs_gives(sets: list[list[Row]], seed: int, steps: int) -> None:
    rows = [row for part in sets for row in part]
    lines = [f"encoded/set{n}/train.jsonl:{line}" for n, part in enumerate(sets) for line in range(1, len(part) + 1)]
    with TemporaryDirectory() as name:
        if not rows:
            with pytest.raises(NotEnoughData, match="training split"):
                data(Path(name), sets, [([1, 2], [0, 1])])
            return
        found = data(Path(name), sets, rows[:1], seed=seed, max_steps=steps, val_check_interval=1)
        samples = found.train
        assert isinstance(samples, TrainingRows) and len(samples) == 2 * steps
        lengths = np.array([len(ids) - 1 for ids, _ in rows])
        expected: list[list[int]] = []
        for epoch in range(2 * steps):
            bins = pack(lengths, permutation(seed, epoch, len(rows)), LENGTH)
            expected += [bins[index] for index in range(len(bins))]
        # the last first, as after a resumption, then in an order that jumps between epochs
        for index in [*range(2 * steps - 1, -1, -1), *range(0, 2 * steps, 3)]:
            members, sample, spans = expected[index], samples[index], samples.sources(index)
            assert sample.mask.any(), "no sequence is empty or without a loss"
            assert [span.name for span in spans] == [lines[row] for row in members]
            for row, span in zip(members, spans, strict=True):
                ids, mask = rows[row]
                part = slice(span.start, span.end)
                assert sample.tokens[part].tolist() == ids[:-1] and sample.labels[part].tolist() == ids[1:]
                assert sample.mask[part].tolist() == mask[1:]
            assert sample.mask[spans[-1].end :].sum() == 0 and (sample.segments[spans[-1].end :] == -1).all()  # type: ignore[index]
        labels = {label for index in range(2 * steps) for label in samples[index].labels[samples[index].mask == 1]}
        assert labels <= {target for ids in samples.targets() for target in ids.tolist()}
        assert isinstance(found.validation, AllRows)
        assert sum(int(found.validation[n].mask.sum()) for n in range(len(found.validation))) == len(sets) * sum(
            rows[0][1][1:]
        )


def test_a_set_without_validation_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotEnoughData, match="validation split"):
        data(tmp_path, [[([1, 2], [0, 1])]], [])
