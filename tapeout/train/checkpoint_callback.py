"""Checkpoint, stop and resume a training run; the result has the same bytes as that of an uninterrupted one.

``TAPEOUT_STATE`` is the folder of the checkpoints; without it none is written. A checkpoint is written when the
training is asked to stop, and every ``TAPEOUT_CHECKPOINT_SECONDS``. It contains what a step changes: parameters, the
optimizer's own copies of them and its moments, the scheduler, the log, and the weights of the best step if these are
selected. Nothing else changes: the order of the samples is fixed before the training, and no step draws a random number
(the models have no dropout).
"""

import hashlib
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import torch
from megatron.core import parallel_state
from numpy.typing import NDArray
from torch import Tensor, distributed

from tapeout.config.training import Training
from tapeout.train.checkpoint_store import Checkpoint, CheckpointStore
from tapeout.train.launch import STOPPED, Rank
from tapeout.train.optimizers import (
    copy_tensors,
    gather_parameters,
    main_parameters,
    parameters,
    torch_optimizers,
    trained_parameters,
)
from tapeout.train.samples import Samples
from tapeout.train.train_log import TrainLog

CONTINUE, SAVE, STOP = 0, 1, 2
DEFAULT_SECONDS = 1800.0
DIGESTED_SAMPLES = 64
"""Samples that stand for all of a training."""


class CheckpointCallback(lightning.Callback):  # type: ignore[misc]
    """Save checkpoints, stop on request, and resume from the newest checkpoint."""

    def __init__(self, rank: Rank, log: TrainLog, job: Training) -> None:
        """Read the folder and the interval from the environment."""
        self.rank, self.train_log, self.job = rank, log, job  # Lightning sets its own attribute "log"
        folder = os.environ.get("TAPEOUT_STATE")
        self.folder = Path(folder) if folder else None
        self.seconds = float(os.environ.get("TAPEOUT_CHECKPOINT_SECONDS", DEFAULT_SECONDS))
        self.store: CheckpointStore | None = None
        self.saved = 0.0
        self.step = 0

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Load the newest checkpoint over the base model, which is loaded by now."""
        if self.folder is None:
            return
        started = time.monotonic()
        model = trainer.strategy.megatron_parallel
        training = training_digest(self.job, self.train_log.data.parts, parameters(model))
        self.store = CheckpointStore(self.folder, training, *self._part())
        checkpoint, rejected = self.store.newest()
        for message in rejected:
            self._print(message)
        if checkpoint is not None:
            self._restore(trainer, model, checkpoint)
            self._print(f"resuming from step {checkpoint.step} ({_cost(checkpoint.size, started)})")
        elif rejected:
            self._print("No checkpoint is left: training from the beginning.")

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Replace Lightning's signal handler by ours, and correct its count of micro-batches."""
        self.rank.stop.listen()
        micro_batches = self.job.global_batch_size // (self.job.micro_batch_size * self.job.layout.replicas)
        # Lightning adds the step as if a step were one micro-batch; it recognizes the last batch by this number
        trainer.fit_loop._data_fetcher.fetched += self.step * (micro_batches - 1)
        self.saved = time.monotonic()
        if self._decide(trainer) == STOP:
            self._stop(self.step)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save if it is time, and stop if requested; not after the last step, when the model is about to be written."""
        step = trainer.global_step
        if self.train_log.ended:
            return
        decision = self._decide(trainer)
        if decision != CONTINUE and self.store is not None:
            started = time.monotonic()
            size = self.store.write(step, self._content(trainer))
            self._print(f"checkpoint saved at step {step} ({_cost(size, started)})")
            self.saved = time.monotonic()
        if decision == STOP:
            self._stop(step)

    def _decide(self, trainer: Any) -> int:
        """Return what to do now, the same on all ranks; only the first rank looks at the clock."""
        due = self.rank.first and time.monotonic() - self.saved >= self.seconds
        decision = STOP if self.rank.stop.requested() else SAVE if due else CONTINUE
        if self.rank.world == 1:
            return decision
        maximum = torch.tensor([decision], device=trainer.strategy.root_device)
        distributed.all_reduce(maximum, distributed.ReduceOp.MAX)
        return int(maximum)

    def _stop(self, step: int) -> None:
        suffix = "" if self.store is not None else "; no checkpoint was saved, because TAPEOUT_STATE is not set"
        self._print(f"stopped at step {step} on request{suffix}")
        raise SystemExit(STOPPED)

    def _part(self) -> tuple[int, int, int]:
        """Return the number of this rank's part of a checkpoint, the number of parts, and the replica of this part.

        A part of the model has several replicas, unless the optimizer's state is divided over them.
        """
        if self.job.layout.distributed_optimizer:
            return self.rank.number, self.rank.world, 0
        tensor = parallel_state.get_tensor_model_parallel_rank()
        stage = parallel_state.get_pipeline_model_parallel_rank()
        part = stage * self.job.layout.tensor_model_parallel_size + tensor
        replica = parallel_state.get_data_parallel_rank(with_context_parallel=True)
        return part, self.job.layout.model_parallel_size, replica

    def _content(self, trainer: Any) -> dict[str, Any]:
        """Return this rank's part of a checkpoint; tensors that share memory are written once.

        With a distributed optimizer the model's parameters follow from the optimizer's, of which every rank has a part:
        copies, or in 32 bits a part of the model's own memory, which would be written as a whole.
        """
        divided = self.job.layout.distributed_optimizer
        main = [main_parameters(optimizer) for optimizer in torch_optimizers(trainer)]
        if divided and self.job.precision == "32":
            main = [{name: tensor.clone() for name, tensor in tensors.items()} for tensors in main]
        return {
            "parameters": {} if divided else trained_parameters(trainer.strategy.megatron_parallel),
            "optimizers": [
                {"main": tensors, "state": optimizer.state_dict()}
                for tensors, optimizer in zip(main, torch_optimizers(trainer), strict=True)
            ],
            "schedulers": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
            "log": self.train_log.state(),
            "best": self.train_log.selection.weights,
        }

    def _restore(self, trainer: Any, model: Any, checkpoint: Checkpoint) -> None:
        """Set everything to its value after the checkpoint's step."""
        self.step, content = checkpoint.step, checkpoint.content
        if not self.job.layout.distributed_optimizer:
            copy_tensors(content["parameters"], trained_parameters(model))
        for optimizer, saved in zip(torch_optimizers(trainer), content["optimizers"], strict=True):
            optimizer.load_state_dict(saved["state"])
            copy_tensors(saved["main"], main_parameters(optimizer))
        if self.job.layout.distributed_optimizer:
            gather_parameters(trainer)
        for config, saved in zip(trainer.lr_scheduler_configs, content["schedulers"], strict=True):
            config.scheduler.load_state_dict(saved)
        self.train_log.load(content["log"])
        self.train_log.selection.weights = content["best"]
        sampler = trainer.datamodule.data_sampler
        sampler.init_global_step = self.step
        sampler.init_consumed_samples = sampler.prev_consumed_samples = self.step * self.job.global_batch_size
        _set_counters(trainer.fit_loop, self.step)

    def _print(self, message: str) -> None:
        if self.rank.first:
            print(message, file=sys.stderr, flush=True)


def training_digest(job: Training, samples: list[Samples], weights: dict[str, Tensor]) -> str:
    """Return a digest of what determines a training run on this rank: the job, the samples and the initial weights.

    The first samples, whose order is random, stand for all of them. Apart from that the runner gives each action its
    own folder of checkpoints, and an action has the digests of all its inputs.
    """
    digest = hashlib.sha256(job.model_dump_json().encode())
    for part in samples:
        digest.update(repr(len(part)).encode())
        for index in range(min(len(part), DIGESTED_SAMPLES)):
            sample = part[index]
            arrays: list[NDArray[Any]] = [sample.tokens, sample.labels, sample.mask]
            for array in arrays if sample.segments is None else [*arrays, sample.segments]:
                digest.update(array.tobytes())
    for name, tensor in weights.items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).cpu().numpy())
    return digest.hexdigest()


def _set_counters(loop: Any, step: int) -> None:
    """Set Lightning's counters to their values after ``step``; the final checkpoint contains them."""
    epoch = loop.epoch_loop
    steps = epoch.automatic_optimization.optim_progress.optimizer.step
    for progress in (epoch.batch_progress, epoch.scheduler_progress, steps):
        for tracker in (progress.total, progress.current):
            for name in vars(tracker):
                setattr(tracker, name, step)
    epoch._batches_that_stepped = step
    warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch ended")
    loop.load_state_dict(loop.state_dict())  # otherwise they are reset when the epoch begins


def _cost(size: int, started: float) -> str:
    return f"{size / 1e6:.1f} MB, {time.monotonic() - started:.2f} s"
