"""A training loop in plain PyTorch and transformers, which shares only the samples and the job with the trainer.

Each row of a packed sequence is computed alone. Attention, loss, AdamW, clipping and the learning rate are written
here or are transformers'.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from tapeout.config.training import Training
from tapeout.train.samples import Sample, Samples

EPSILON = 1e-8
"""Added to the root of the second moment, as in PyTorch and Megatron."""


@dataclass
class Curve:
    """A training run.

    Attributes:
        losses: loss of each step before its update, nats per token with a loss.
        rates: learning rate of each step.
        gradients: gradients of one step after clipping, by Hugging Face name.
        weights: weights after the last step, likewise.
    """

    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    gradients: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)


def rows(sample: Sample) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield tokens, labels and loss mask of each row of a sequence, without padding."""
    parts = [torch.from_numpy(part) for part in (sample.tokens, sample.labels, sample.mask)]
    if sample.segments is None:
        yield parts[0], parts[1], parts[2]
        return
    segments = torch.from_numpy(sample.segments)
    for row in range(int(segments.max()) + 1):
        yield parts[0][segments == row], parts[1][segments == row], parts[2][segments == row]


def learning_rate(step: int, job: Training) -> float:
    """Return the learning rate of a step, from 1: linear up to the peak, then half a cosine down."""
    before = step - 1
    if before < job.warmup_steps:
        return job.lr * (before + 1) / (job.warmup_steps + 1)
    lowest = job.lr * job.min_lr_fraction
    done = (before - job.warmup_steps) / (job.max_steps - job.warmup_steps)
    return lowest + 0.5 * (job.lr - lowest) * (1 + math.cos(math.pi * done))


def token_loss(model: Any, batch: list[Sample]) -> Tensor:
    """Return the mean cross-entropy of the tokens with a loss."""
    count = sum(int(sample.mask.sum()) for sample in batch)
    loss = torch.zeros(())
    for tokens, labels, mask in (row for sample in batch for row in rows(sample)):
        logits = model(tokens[None]).logits[0]
        loss = loss + (cross_entropy(logits, labels, reduction="none") * mask).sum() / count
    return loss


def train_plainly(
    source: Any,
    samples: Samples,
    job: Training,
    batch_loss: Callable[[Any, list[Sample]], Tensor] = token_loss,
    noted: int = 1,
) -> Curve:
    """Train a model in 32-bit floats on the batches of a job.

    Args:
        source: Hugging Face folder, or a model, of which the parameters with gradients are trained.
        samples: samples of all steps.
        job: parameters of the training.
        batch_loss: loss of a batch.
        noted: step of the gradients.
    """
    model = source
    if isinstance(source, Path):
        model = AutoModelForCausalLM.from_pretrained(source, torch_dtype=torch.float32)
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    first = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    second = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    curve = Curve()
    for step in range(1, job.max_steps + 1):
        batch = [samples[index] for index in range((step - 1) * job.global_batch_size, step * job.global_batch_size)]
        loss = batch_loss(model, batch)
        model.zero_grad()
        loss.backward()
        gradients = {name: parameter.grad for name, parameter in parameters.items()}
        norm = math.sqrt(sum(float(gradient.double().square().sum()) for gradient in gradients.values()))
        rate = learning_rate(step, job)
        with torch.no_grad():
            for name, parameter in parameters.items():
                gradient = gradients[name] * min(1.0, job.grad_clip / norm)
                if step == noted:
                    curve.gradients[name] = gradient
                first[name].lerp_(gradient, 1 - job.betas[0])
                second[name].lerp_(gradient.square(), 1 - job.betas[1])
                mean, square = first[name] / (1 - job.betas[0] ** step), second[name] / (1 - job.betas[1] ** step)
                decay = job.weight_decay if parameter.dim() > 1 else 0.0  # matrices alone
                parameter.mul_(1 - rate * decay).sub_(rate * mean / (square.sqrt() + EPSILON))
        curve.losses.append(loss.item())
        curve.rates.append(rate)
    curve.weights = {name: parameter.detach() for name, parameter in parameters.items()}
    return curve
