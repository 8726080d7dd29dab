"""Order and content of the batches are the same for every number of processes that read ahead, and every layout."""

import json
from copy import deepcopy
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from tapeout.config.sft import Sft
from tapeout.data.errors import NotEnoughData
from tapeout.train.batches import batch_sequences, micro_batches, replica_of, sequences
from tapeout.train.launch import single_rank
from tapeout.train.loader import SampleDataset, loader
from tapeout.train.methods import sft
from tapeout.train.samples import Sample, Samples

pytestmark = pytest.mark.environment("nemo")

STEPS = 5
LAYOUTS = [
    *((1, 1, 1, 1, 8, 8), (1, 1, 1, 1, 8, 2), (2, 1, 1, 1, 8, 2), (4, 1, 1, 1, 8, 2)),
    *((4, 2, 1, 1, 8, 1), (8, 2, 1, 2, 8, 1), (16, 2, 2, 2, 8, 1)),
]
"""Ranks, those that share a matrix, those that share a sequence, stages, sequences of a step and of a micro-batch."""


def job_of(ranks: int, tensor: int, context: int, stages: int, batch: int, micro_batch: int) -> Sft:
    layout = {
        "devices": ranks,
        "tensor_model_parallel_size": tensor,
        "context_parallel_size": context,
        "pipeline_model_parallel_size": stages,
    }
    sizes = {"seq_length": 16, "global_batch_size": batch, "micro_batch_size": micro_batch}
    return Sft.model_validate(
        {"max_steps": STEPS, "warmup_steps": 1, "val_check_interval": 1, "layout": layout} | sizes
    )


def test_every_layout_and_number_of_workers_reads_the_same_batches(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"ids": rng.integers(1, 99, size).tolist(), "mask": [1] * size} for size in rng.integers(2, 18, 30).tolist()
    ]
    for split in ("train", "validation"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for number, sizes in enumerate(LAYOUTS):
        job, (ranks, tensor, context, stages, *_) = job_of(*sizes), sizes
        samples = sft.data(job, tmp_path, {"encoded": [tmp_path]}, single_rank(tmp_path / str(number)).once).train
        assert deepcopy(samples) is samples, "NeMo copies the arguments of a training; a copied memory map is in memory"
        for workers in (0, 1, 2) if number in (1, 3) else (0,):
            read = []
            for rank in range(job.layout.world_size):
                mine = [
                    list(sequences(job, step, replica_of(job, rank), part))
                    for step in range(1, STEPS + 1)
                    for part in range(micro_batches(job))
                ]
                assert list(chain(*mine)) == list(chain(*(batch_sequences(job, n, rank) for n in range(1, STEPS + 1))))
                waiting = loader(SampleDataset(samples), mine, workers)
                found = [item for batch in waiting for item in batch["tokens"].tolist()]
                assert found == [samples[index].tokens.tolist() for index in chain(*mine)]
                assert waiting.waited > 0
                read += [] if rank % (tensor * context) or rank >= ranks // stages else mine
            assert sorted(chain(*read)) == list(range(STEPS * job.global_batch_size))
            assert sorted(batch_sequences(job, 2)) == list(range(8, 16))


def test_a_sequence_without_a_loss_is_an_error() -> None:
    """Methods of the package have none; this is about methods from outside."""

    class Masked(Samples):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> Sample:
            return Sample(np.arange(8), np.arange(8), np.full(8, index != 3, np.uint8))

    dataset = SampleDataset(Masked())
    assert torch.equal(dataset[2]["loss_mask"], torch.ones(8, dtype=torch.uint8))
    with pytest.raises(NotEnoughData, match="training sequence 3"):
        dataset[3]
