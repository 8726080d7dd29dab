"""Training in real NeMo: MegatronStrategy, Megatron's Adam and checkpoints, on one CPU (gloo, fp32)."""

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as lightning
import nemo.lightning as nl
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from megatron.core.models.gpt import GPTModel
from megatron.core.optimizer import OptimizerConfig
from nemo.collections import llm
from nemo.lightning.megatron_parallel import MegatronLossReduction
from torch import Tensor

from tapeout.config.training import Training
from tapeout.nemo.attention import layer_spec
from tapeout.nemo.canonical import canonicalise
from tapeout.nemo.data import SampleModule, SampleSet
from tapeout.nemo.loss import Vocabulary, split_vocabulary, summed_loss
from tapeout.nemo.samples import Samples
from tapeout.progress import report

REPORTS = 50


class MaskedStep:
    """Our forward step for NeMo: hidden states from Megatron's model, then the summed loss of the masked tokens."""

    def __init__(self) -> None:
        self.vocabulary: Vocabulary | None = None

    def __call__(self, model: Any, batch: dict[str, Tensor]) -> Tensor:
        """Sum of the losses (nats) over the batch's tokens with mask 1."""
        gpt = megatron_model(model)
        if self.vocabulary is None:
            raise RuntimeError("the vocabulary is split when training starts")
        gpt.post_process = False  # Megatron then returns hidden states [s, b, d], as from an inner pipeline stage
        try:
            hidden = model(
                input_ids=batch["tokens"],
                position_ids=batch["position_ids"],
                attention_mask=batch.get("attention_mask"),
                labels=None,
            )
        finally:
            gpt.post_process = True
        return summed_loss(hidden, output_weight(gpt), self.vocabulary, batch["labels"], batch["loss_mask"])


class SummedLoss(MegatronLossReduction):
    """Hand Megatron the sum and the number of tokens, so that it divides by the tokens of the whole batch (F45)."""

    def forward(self, batch: dict[str, Tensor], loss: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Loss sum, number of tokens, and both for the log."""
        count = batch["loss_mask"].sum().to(torch.int)
        return loss, count, {"sum_and_count": torch.stack([loss.detach().double(), count.double()])}

    def reduce(self, outputs: Sequence[dict[str, Tensor]]) -> Tensor:
        """Token-weighted mean over micro-batches and data-parallel ranks."""
        from megatron.core import parallel_state

        total = torch.stack([output["sum_and_count"] for output in outputs]).sum(0)
        torch.distributed.all_reduce(total, group=parallel_state.get_data_parallel_group(with_context_parallel=True))
        self.tokens = int(total[1])
        return (total[0] / total[1]).float()


class Journal(lightning.Callback):
    """Prepare the loss, write the log of the steps, show progress, and measure the validation loss."""

    def __init__(self, step: MaskedStep, reduction: SummedLoss, samples: Samples, job: Training) -> None:
        self.step, self.reduction, self.samples, self.job = step, reduction, samples, job
        self.validation_samples: Samples | None = None
        self.validate_every = 0
        self.steps: list[dict[str, float]] = []
        self.validation: list[dict[str, float]] = []
        self.parameters = 0
        self.rate = 0.0
        self.tokens = 0
        self.begun, self.begun_tokens = 0.0, 0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Now the weights are loaded: see which rows of the output layer are equal."""
        self.begun, self.begun_tokens = time.monotonic(), self.tokens
        gpt = megatron_model(pl_module)
        self.parameters = sum(parameter.numel() for parameter in gpt.parameters())
        labels = [self.samples.labels]
        if self.validation_samples is not None:
            labels.append(self.validation_samples.labels)
        targets = torch.cat([torch.from_numpy(part).flatten() for part in labels])
        self.step.vocabulary = split_vocabulary(output_weight(gpt), targets)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Remember the learning rate of this step; when the step has ended it is the next one's."""
        self.rate = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """One line of the log, and now and then a line of progress."""
        step = trainer.global_step
        self.tokens += self.reduction.tokens
        loss = float(outputs["loss"])
        self.steps.append({"step": step, "loss": loss, "learning_rate": self.rate, "tokens": self.tokens})
        if self.validate_every and (step % self.validate_every == 0 or step == self.job.steps):
            self.validation.append({"step": step, "loss": self.validation_loss(pl_module)})
        if step % max(1, self.job.steps // REPORTS) == 0:
            speed = (self.tokens - self.begun_tokens) / (time.monotonic() - self.begun)
            report(step, self.job.steps, loss=loss, tokens_per_second=round(speed))

    def validation_loss(self, model: Any) -> float:
        """Token-weighted loss over the whole validation split (F51)."""
        assert self.validation_samples is not None
        data = SampleSet(self.validation_samples)
        total, count = 0.0, 0
        model.eval()
        with torch.no_grad():
            for batch in torch.utils.data.DataLoader(data, batch_size=self.job.micro_batch):
                total += float(self.step(model, batch))
                count += int(batch["loss_mask"].sum())
        model.train()
        return total / count

    def content(self) -> dict[str, Any]:
        """Content of train_log.json."""
        return {
            "steps": self.steps,
            "validation": self.validation,
            "parameters": self.parameters,
            "tokens": self.tokens,
        }


def megatron_model(model: Any) -> Any:
    """Megatron's GPT model inside NeMo's and the data-parallel wrappers, which pass its attributes through."""
    while not isinstance(model, GPTModel):
        model = model.module
    return model


def output_weight(gpt: Any) -> Tensor:
    """Weight of the output layer [v, d], shared with the embedding or not."""
    weight: Tensor = (
        gpt.shared_embedding_or_output_weight() if gpt.share_embeddings_and_output_weights else gpt.output_layer.weight
    )
    return weight


def train(
    model: Path,
    samples: Samples,
    job: Training,
    output: Path,
    workplace: Path,
    kind: Literal["pretrain", "finetune"],
    validation: Samples | None = None,
    validate_every: int = 0,
) -> dict[str, Any]:
    """Train the NeMo-2 checkpoint ``model`` and write the result, in canonical form, to the new folder ``output``.

    The context (configuration and tokenizer) is the model's own: training does not change it.

    Returns:
        the training log.
    """
    lightning.seed_everything(job.seed)
    step, reduction = MaskedStep(), SummedLoss()
    network = nl.io.load_context(model, subpath="model")
    network.config.calculate_per_token_loss = True
    network.config.transformer_layer_spec = layer_spec
    network.config.forward_step_fn = step
    network._training_loss_reduction = reduction
    journal = Journal(step, reduction, samples, job)
    journal.validation_samples, journal.validate_every = validation, validate_every
    trainer = nl.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=job.steps,
        strategy=nl.MegatronStrategy(
            ddp="megatron",
            process_group_backend="gloo",
            gradient_as_bucket_view=False,
            ckpt_async_save=False,
            ckpt_parallel_save=False,
            ckpt_parallel_load=False,
            ckpt_save_optimizer=False,
            replace_progress_bar=False,
        ),
        plugins=[nl.MegatronMixedPrecision(precision="32"), LightningEnvironment()],
        callbacks=[journal],
        limit_val_batches=0,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    run = getattr(llm, kind)
    run(
        network,
        SampleModule(samples, job, network.tokenizer),
        trainer,
        log=nl.NeMoLogger(name="run", log_dir=str(workplace), use_datetime_version=False, ckpt=_checkpoints(job.steps)),
        optim=_optimizer(job),
        resume=nl.AutoResume(restore_config=nl.RestoreConfig(path=str(model))),
    )
    saved = workplace / "run" / "checkpoints" / f"step={job.steps - 1}"
    output.mkdir(parents=True)
    shutil.move(saved / "weights", output / "weights")
    shutil.copytree(model / "context", output / "context")
    canonicalise(output, forbidden=[workplace, model, output])
    return journal.content()


def _checkpoints(steps: int) -> Any:
    """Save once, inside ``fit``: a save after it names its tensors in a way that no exporter can read."""
    return nl.ModelCheckpoint(
        filename="{step}",
        monitor="step",
        mode="max",
        save_top_k=1,
        save_last=False,
        every_n_train_steps=steps,
        always_save_context=False,
        save_context_on_train_end=False,
    )


def _optimizer(job: Training) -> Any:
    """Megatron's Adam with linear warm-up and half a cosine."""
    return nl.MegatronOptimizerModule(
        config=OptimizerConfig(
            optimizer="adam",
            lr=job.learning_rate,
            weight_decay=job.weight_decay,
            adam_beta1=job.betas[0],
            adam_beta2=job.betas[1],
            clip_grad=job.clip,
            use_distributed_optimizer=False,
            params_dtype=torch.float32,
        ),
        lr_scheduler=nl.lr_scheduler.CosineAnnealingScheduler(
            max_steps=job.steps,
            warmup_steps=job.warm_up,
            constant_steps=0,
            min_lr=job.learning_rate * job.final_fraction,
        ),
    )


def write_log(log: dict[str, Any], output: Path) -> None:
    """Write ``train_log.json`` into the checkpoint folder."""
    (output / "train_log.json").write_text(json.dumps(log, sort_keys=True) + "\n")
