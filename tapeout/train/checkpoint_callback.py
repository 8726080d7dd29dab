"""Keeps a training's state as it runs, and brings it back: the result is the same to the byte as without a stop.

``TAPEOUT_STATE`` is the folder of the states; without it nothing is kept. A state is written when the training is asked
to stop, and every ``TAPEOUT_CHECKPOINT_SECONDS``. It holds what a step changes: parameters, the optimizer's own copies
of them and its moments, the scheduler, the log. Nothing else does: the order of the samples is fixed before the
training (F46), and no step draws a random number (the models have no dropout).
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
from tapeout.train.checkpoint_store import Found, States
from tapeout.train.launch import Rank
from tapeout.train.samples import Samples
from tapeout.train.stop import STOPPED
from tapeout.train.train_log import Journal

GO_ON, SAVE, STOP = 0, 1, 2
SECONDS = 1800.0


class Keeper(lightning.Callback):
    """Saves, stops and goes on."""

    def __init__(self, rank: Rank, journal: Journal, job: Training) -> None:
        self.rank, self.journal, self.job = rank, journal, job
        folder = os.environ.get("TAPEOUT_STATE")
        self.folder = Path(folder) if folder else None
        self.seconds = float(os.environ.get("TAPEOUT_CHECKPOINT_SECONDS", SECONDS))
        self.states: States | None = None
        self.saved = 0.0
        self.step = 0

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """The base model is loaded: put the newest state over it."""
        if self.folder is None:
            return
        started = time.monotonic()
        model = trainer.strategy.megatron_parallel
        self.states = States(
            self.folder,
            identity(self.job, self.journal.all_samples(), parameters(model)),
            part=parallel_state.get_tensor_model_parallel_rank(),
            parts=parallel_state.get_tensor_model_parallel_world_size(),
            replica=parallel_state.get_data_parallel_rank(),
        )
        found, wrong = self.states.newest()
        for words in wrong:
            self._say(words)
        if found is not None:
            self._restore(trainer, model, found)
            self._say(f"going on from step {found.step} ({_cost(found.size, started)})")
        elif wrong:
            self._say("No state is left: training from the beginning.")

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Lightning has put its own handler in the place of ours, and has begun to count micro-batches."""
        self.rank.stop.listen()
        micro_batches = self.job.global_batch // (self.job.micro_batch * self.job.layout.replicas)
        # Lightning adds the step, as if a step were one micro-batch; by this number it knows the last batch
        trainer.fit_loop._data_fetcher.fetched += self.step * (micro_batches - 1)
        self.saved = time.monotonic()
        if self._agreed(trainer) == STOP:
            self._end(self.step)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Save if it is time, end if that is wanted; after the last step neither: the model is about to be written."""
        step = trainer.global_step
        if step == self.job.steps:
            return
        agreed = self._agreed(trainer)
        if agreed != GO_ON and self.states is not None:
            started = time.monotonic()
            size = self.states.write(step, self._content(trainer))
            self._say(f"state saved at step {step} ({_cost(size, started)})")
            self.saved = time.monotonic()
        if agreed == STOP:
            self._end(step)

    def _agreed(self, trainer: Any) -> int:
        """What to do now, the same on all ranks; time passes on the first alone."""
        due = self.rank.first and time.monotonic() - self.saved >= self.seconds
        wish = STOP if self.rank.stop.wanted() else SAVE if due else GO_ON
        if self.rank.world == 1:
            return wish
        asked = torch.tensor([wish], device=trainer.strategy.root_device)
        distributed.all_reduce(asked, distributed.ReduceOp.MAX)
        return int(asked)

    def _end(self, step: int) -> None:
        kept = "" if self.states is not None else "; nothing is kept, because TAPEOUT_STATE names no folder"
        self._say(f"stopped at step {step}, as was wanted{kept}")
        raise SystemExit(STOPPED)

    def _content(self, trainer: Any) -> dict[str, Any]:
        """This rank's part of the state; tensors that share memory are written once."""
        return {
            "parameters": parameters(trainer.strategy.megatron_parallel),
            "optimizers": [
                {"main": main_parameters(optimizer), "state": optimizer.state_dict()} for optimizer in inner(trainer)
            ],
            "schedulers": [config.scheduler.state_dict() for config in trainer.lr_scheduler_configs],
            "journal": self.journal.state(),
        }

    def _restore(self, trainer: Any, model: Any, found: Found) -> None:
        """Make everything what it was after the state's step."""
        self.step = found.step
        _copy(found.content["parameters"], parameters(model))
        for optimizer, kept in zip(inner(trainer), found.content["optimizers"], strict=True):
            optimizer.load_state_dict(kept["state"])
            _copy(kept["main"], main_parameters(optimizer))
        for config, kept in zip(trainer.lr_scheduler_configs, found.content["schedulers"], strict=True):
            config.scheduler.load_state_dict(kept)
        self.journal.load(found.content["journal"])
        sampler = trainer.datamodule.data_sampler
        sampler.init_global_step = found.step
        sampler.init_consumed_samples = sampler.prev_consumed_samples = found.step * self.job.global_batch
        _count(trainer.fit_loop, found.step)

    def _say(self, words: str) -> None:
        if self.rank.first:
            print(words, file=sys.stderr, flush=True)


def identity(job: Training, samples: list[Samples], weights: dict[str, Tensor]) -> str:
    """A digest of what determines a training on this rank: the job, the samples, the weights it begins with."""
    digest = hashlib.sha256(job.model_dump_json().encode())
    for each in samples:
        arrays: list[NDArray[Any]] = [each.tokens, each.labels, each.mask]
        for array in arrays if each.segments is None else [*arrays, each.segments]:
            digest.update(repr(array.shape).encode())
            digest.update(array.tobytes())
    for name, tensor in weights.items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).cpu().numpy())
    return digest.hexdigest()


def parameters(model: Any) -> dict[str, Tensor]:
    """The model's parameters on this rank, by name."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def inner(trainer: Any) -> list[torch.optim.Optimizer]:
    """PyTorch's optimizers inside Megatron's inside NeMo's."""
    megatron = [optimizer.mcore_optimizer for optimizer in trainer.optimizers]
    return [one.optimizer for each in megatron for one in getattr(each, "chained_optimizers", [each])]


def main_parameters(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimizer updates: the model's parameters, or its own copies of higher precision."""
    groups = enumerate(optimizer.param_groups)
    return {f"{number}.{place}": p.detach() for number, group in groups for place, p in enumerate(group["params"])}


def _copy(kept: dict[str, Tensor], current: dict[str, Tensor]) -> None:
    assert kept.keys() == current.keys()
    for name, tensor in current.items():
        tensor.copy_(kept[name])


def _count(loop: Any, step: int) -> None:
    """Lightning's counters as they are after ``step``; the final checkpoint holds them."""
    epoch = loop.epoch_loop
    steps = epoch.automatic_optimization.optim_progress.optimizer.step
    for progress in (epoch.batch_progress, epoch.scheduler_progress, steps):
        for tracker in (progress.total, progress.current):
            for name in vars(tracker):
                setattr(tracker, name, step)
    epoch._batches_that_stepped = step
    warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch ended")
    loop.load_state_dict(loop.state_dict())  # else they are set to zero when the epoch begins


def _cost(size: int, started: float) -> str:
    return f"{size / 1e6:.1f} MB, {time.monotonic() - started:.2f} s"
