"""Training in NeMo: MegatronStrategy, Megatron's Adam and checkpoints, on CPUs (gloo) or GPUs (NCCL)."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import nemo.lightning as nl
import torch
from lightning.fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
from megatron.core.distributed import DistributedDataParallelConfig
from megatron.core.optimizer import OptimizerConfig
from nemo.collections import llm

from tapeout.config.layout import Recompute
from tapeout.config.training import Training
from tapeout.guard.folders import check_checkpoint
from tapeout.nemo.attention import layer_spec
from tapeout.nemo.canonical import canonicalize
from tapeout.nemo.float8 import use_float8
from tapeout.nemo.forward import data_step
from tapeout.nemo.weights_type import state_weights_type
from tapeout.train.checkpoint_callback import CheckpointCallback
from tapeout.train.dataset import SampleModule
from tapeout.train.launch import Rank
from tapeout.train.method import Method
from tapeout.train.samples import TrainingData
from tapeout.train.schedules import learning_rate
from tapeout.train.train_log import TrainLog

RECOMPUTED: dict[Recompute, dict[str, Any]] = {
    "none": {},
    "selective": {"recompute_granularity": "selective", "recompute_modules": ["mlp"]},
    "full": {"recompute_granularity": "full", "recompute_method": "uniform", "recompute_num_layers": 1},
}
"""Megatron's options by those of ``Layout.recompute``; fused attention keeps no scores that could be recomputed."""


def train(model: Path, data: TrainingData, job: Training, method: Method, output: Path, rank: Rank) -> dict[str, Any]:
    """Train a NeMo-2 checkpoint and write the result, in canonical form, to the new folder ``output``.

    Every rank calls this; the first one writes. The context (configuration and tokenizer) is copied from the model,
    because training does not change it, except for the type of numbers.

    Returns:
        the training log.

    Raises:
        UnusableModel, NonFinite, UnknownMetric, SystemExit: see ``fit``.
    """
    saved = output.absolute().with_name(f"{output.name}.unfinished")  # where all machines see it
    if rank.first:
        shutil.rmtree(saved, ignore_errors=True)
    _, log = fit(model, data, job, method, rank, saved=saved)
    if rank.first:
        output.mkdir(parents=True)
        shutil.move(saved / f"step={log.last_step}" / "weights", output / "weights")
        shutil.rmtree(saved)
        shutil.copytree(model / "context", output / "context")
        state_weights_type(output)
        canonicalize(output, forbidden=[rank.workplace, saved, model, output])
    return log.content()


def fit(
    model: Path,
    data: TrainingData,
    job: Training,
    method: Method,
    rank: Rank,
    *,
    saved: Path | None = None,
    transform: Callable[[Any], Any] | None = None,
) -> tuple[Any, TrainLog]:
    """Train a NeMo-2 checkpoint in this process; every rank calls this.

    Args:
        model: folder of the checkpoint.
        data: samples.
        job: parameters of the training.
        method: training method.
        rank: this process.
        saved: folder that gets the weights after the last step, in a subfolder; None to write none.
        transform: changes Megatron's model and returns it, before the weights are loaded.

    Returns:
        NeMo's model after the last step, and the training log.

    Raises:
        UnusableModel: a file of the model could run code, or is damaged.
        NonFinite: see ``TrainLog``.
        UnknownMetric: see ``Selection``.
        SystemExit: with ``launch.STOPPED``, when the training was asked to stop.
    """
    check_checkpoint(model)
    lightning.seed_everything(job.seed)
    step, reduction = method.loss(job)
    network = nl.io.load_context(model, subpath="model")
    network.config.calculate_per_token_loss = True
    network.config.transformer_layer_spec = layer_spec
    network.config.deterministic_mode = job.layout.accelerator == "gpu" and job.deterministic
    network.config.data_step_fn = data_step
    network.config.forward_step_fn = step
    for name, value in RECOMPUTED[job.layout.recompute].items():
        setattr(network.config, name, value)
    if transform is not None:
        build = network.config.configure_model
        network.config.configure_model = lambda *arguments, **options: transform(build(*arguments, **options))
    if job.precision == "fp8":
        use_float8()
    network._training_loss_reduction = reduction
    log = TrainLog(rank, step, reduction, data, job)
    network.log = log.keep_metric
    callbacks = [log, *method.callbacks(job), CheckpointCallback(rank, log, job)]
    logger = nl.NeMoLogger(
        name="run",
        log_dir=str(rank.workplace),
        use_datetime_version=False,
        ckpt=_final_checkpoint(log, saved) if saved is not None else None,
    )
    recipe = getattr(llm, method.KIND)
    recipe(
        network,
        SampleModule(data.train, job, network.tokenizer),
        _trainer(job, rank, callbacks, enable_checkpointing=saved is not None),
        log=logger,
        optim=_optimizer(job),
        resume=nl.AutoResume(restore_config=nl.RestoreConfig(path=str(model))),
    )
    return network, log


def _trainer(job: Training, rank: Rank, callbacks: list[Any], enable_checkpointing: bool) -> Any:
    """Return NeMo's trainer for the layout of a job."""
    layout = job.layout
    return nl.Trainer(
        accelerator=layout.accelerator,
        devices=rank.local_world,
        num_nodes=rank.world // rank.local_world,
        max_steps=job.max_steps,
        strategy=nl.MegatronStrategy(
            tensor_model_parallel_size=layout.tensor_model_parallel_size,
            pipeline_model_parallel_size=layout.pipeline_model_parallel_size,
            context_parallel_size=layout.context_parallel_size,
            pipeline_dtype=torch.float32 if job.precision == "32" else torch.bfloat16,
            sequence_parallel=layout.sequence_parallel,
            ddp=DistributedDataParallelConfig(
                check_for_nan_in_grad=False,  # TrainLog checks, and names the batch
                use_distributed_optimizer=layout.distributed_optimizer,
            ),
            process_group_backend={"cpu": "gloo", "gpu": "nccl"}[layout.accelerator],
            gradient_as_bucket_view=False,
            ckpt_async_save=False,
            ckpt_parallel_save=layout.copies > 1,
            ckpt_parallel_load=layout.copies > 1,
            ckpt_save_optimizer=False,
            replace_progress_bar=False,
        ),
        plugins=[
            _precision(job),
            LightningEnvironment() if rank.world == 1 else TorchElasticEnvironment(),
        ],
        callbacks=callbacks,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=enable_checkpointing,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


class FinalCheckpoint(nl.ModelCheckpoint):  # type: ignore[misc]
    """Save once, during ``fit``: a save after it names its tensors in a way that no exporter can read.

    Lightning calls this after all other callbacks, so that the selected weights are saved.
    """

    train_log: TrainLog

    def on_train_batch_end(self, *arguments: Any, **options: Any) -> None:
        """Save if this was the last step."""
        if self.train_log.ended:
            super().on_train_batch_end(*arguments, **options)


def _final_checkpoint(log: TrainLog, folder: Path) -> Any:
    """Return the callback that saves the model to a subfolder of ``folder``."""
    checkpoint = FinalCheckpoint(
        dirpath=str(folder),
        filename="{step}",
        monitor="step",
        mode="max",
        save_top_k=1,
        save_last=False,
        save_weights_only=True,  # also where the training ends early, which NeMo does not take for the end
        every_n_train_steps=1,
        always_save_context=False,
        save_context_on_train_end=False,
    )
    checkpoint.train_log = log
    return checkpoint


def _precision(job: Training) -> Any:
    """Return 32-bit floats, or bfloat16 with 32-bit sums of gradients; autocast is off."""
    if job.precision == "32":
        return nl.MegatronMixedPrecision(precision="32")
    return nl.MegatronMixedPrecision(
        precision="bf16-mixed",
        params_dtype=torch.bfloat16,
        pipeline_dtype=torch.bfloat16,
        autocast_enabled=False,
        grad_reduce_in_fp32=True,
    )


def _optimizer(job: Training) -> Any:
    """Return Megatron's Adam with the learning rates of the job's schedule."""
    return nl.MegatronOptimizerModule(
        config=OptimizerConfig(
            optimizer="adam",
            lr=job.lr,
            weight_decay=job.weight_decay,
            adam_beta1=job.betas[0],
            adam_beta2=job.betas[1],
            clip_grad=job.grad_clip,
            use_distributed_optimizer=job.layout.distributed_optimizer,
            bf16=job.precision != "32",
            params_dtype=torch.float32 if job.precision == "32" else torch.bfloat16,
        ),
        lr_scheduler=learning_rate(job),
    )
