"""LoRA training of a Hugging Face model with NeMo AutoModel, in one process.

NeMo's ``HFAutoModelForCausalLM`` runs a micro-batch, ``llm.finetune`` trains, and ``llm.peft.LoRA`` adds the adapters.
The data, the loss and the log are Tapeout's: NeMo's own data module neither masks prompts nor seeds an order, and its
loss is a mean of means.
"""

from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import nemo.lightning as nl
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from nemo.collections import llm

from tapeout.config.automodel_lora import AutomodelLora
from tapeout.models.adapter import Adapter
from tapeout.models.tokenizer_file import UnusableModel
from tapeout.train.automodel_batches import BatchModule, weighted_loss
from tapeout.train.automodel_log import AutoModelLog
from tapeout.train.batches import micro_batches
from tapeout.train.launch import Rank
from tapeout.train.method import AutoModelMethod
from tapeout.train.samples import TrainingData
from tapeout.train.schedules import learning_rate

ENDS = (".lora_a.weight", ".lora_b.weight")
"""Ends of NeMo's names of an adapter's matrices."""


def train_adapter(
    folder: Path, data: TrainingData, job: AutomodelLora, method: AutoModelMethod, rank: Rank
) -> tuple[Adapter, dict[str, Any]]:
    """Train an adapter of the model in a Hugging Face folder.

    Returns:
        the adapter, and the training log.

    Raises:
        UnusableModel: no layer of the model has one of the names in ``target_modules``.
        NonFinite: see ``AutoModelLog``.
        SystemExit: with ``launch.STOPPED``, when the training was asked to stop; it begins again.
    """
    lightning.seed_everything(job.seed)  # the initial values of the adapters
    network = automodel(folder)
    log = AutoModelLog(data, job, rank)
    network.log = log.keep_metric
    trainer = nl.Trainer(
        accelerator=job.layout.accelerator,
        devices=1,
        max_steps=job.max_steps,
        accumulate_grad_batches=micro_batches(job),
        gradient_clip_val=job.grad_clip,
        precision="32-true" if job.precision == "32" else job.precision,
        plugins=[LightningEnvironment()],
        callbacks=[log, *method.callbacks(job)],
        limit_val_batches=0,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    llm.finetune(
        network,
        BatchModule(data, job),
        trainer,
        log=nl.NeMoLogger(name="run", log_dir=str(rank.workplace), use_datetime_version=False, ckpt=None),
        optim=_optimizer(job),
        peft=method.peft(job),
        tokenizer=None,
    )
    return adapter_of(network, job), log.content()


def automodel(folder: Path) -> Any:
    """Return NeMo's module for the model in a Hugging Face folder, in 32 bits, with a loss weighted by tokens."""
    return llm.HFAutoModelForCausalLM(
        model_name=str(folder), loss_fn=weighted_loss, default_dtype=torch.float32, use_linear_ce_loss=False
    )


def adapter_of(network: Any, job: AutomodelLora) -> Adapter:
    """Return the adapter of NeMo's module.

    Raises:
        UnusableModel: there is none.
    """
    tensors = {name: parameter.detach().cpu() for name, parameter in network.model.named_parameters()}
    layers = sorted(name.removesuffix(ENDS[0]) for name in tensors if name.endswith(ENDS[0]))
    if not layers:
        raise UnusableModel(
            f"No linear layer of the model has one of the names {', '.join(job.target_modules)}.",
            "Name layers of this family in target_modules.",
        )
    pairs = {layer: (tensors[layer + ENDS[0]], tensors[layer + ENDS[1]]) for layer in layers}
    return Adapter(job.dim, job.alpha, pairs)


def _optimizer(job: AutomodelLora) -> Any:
    """Return PyTorch's AdamW with the learning rates of the job's schedule."""
    adam = partial(torch.optim.AdamW, lr=job.lr, betas=job.betas, weight_decay=job.weight_decay)
    return nl.pytorch.optim.PytorchOptimizerModule(adam, lr_scheduler=learning_rate(job))
