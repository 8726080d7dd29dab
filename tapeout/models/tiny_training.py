"""Training the tiny base model."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from tapeout.config.base import Base
from tapeout.models.loss import LinearCrossEntropy
from tapeout.models.packing import CorpusTooSmall, pack
from tapeout.progress import report


def be_repeatable(threads: int) -> None:
    """Fix everything in PyTorch that could make two runs differ in a bit.

    Filling fresh memory is left out: it costs time and only matters to programs that read what they have not written.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False


class UsedRows:
    """A model seen through those rows of its vocabulary that the training text uses.

    A piece that never occurs in the text gets no gradient in the input embedding, and in the output layer the same
    push away from every hidden state as all other such pieces. So these share one output row during training, counted
    as often as there are pieces by adding the logarithm of their number to its logit: the loss is exactly that of the
    whole vocabulary, at the cost of the used part (about a third of 32,000).
    """

    def __init__(self, model: LlamaForCausalLM, documents: list[list[int]]) -> None:
        self.model = model
        size = model.config.vocab_size
        self.used = torch.tensor(sorted({token for document in documents for token in document}))
        self.unused = torch.ones(size, dtype=torch.bool).index_fill_(0, self.used, False).nonzero()[:, 0]
        self.place = torch.full((size,), -1).index_copy_(0, self.used, torch.arange(len(self.used)))
        self.embedding = nn.Parameter(model.model.embed_tokens.weight.detach()[self.used].clone())
        output = model.lm_head.weight.detach()
        shared = output[self.unused].mean(0, keepdim=True) if len(self.unused) else output[:0]
        self.output = nn.Parameter(torch.cat([output[self.used], shared]))
        self.bias = torch.zeros(len(self.output))
        if len(self.unused):
            self.bias[-1] = math.log(len(self.unused))

    def loss(self, windows: Tensor) -> Tensor:
        """Mean loss in nats over all tokens of a batch of windows [batch, sequence + 1]."""
        places = self.place[windows]
        inputs = nn.functional.embedding(places[:, :-1], self.embedding)
        hidden = self.model.model(inputs_embeds=inputs, use_cache=False).last_hidden_state
        loss: Tensor = LinearCrossEntropy.apply(hidden.flatten(0, 1), self.output, self.bias, places[:, 1:].flatten())
        return loss

    @torch.no_grad()
    def write_back(self) -> None:
        """Put the trained rows into the model; unused output rows all become the shared one."""
        self.model.model.embed_tokens.weight[self.used] = self.embedding
        self.model.lm_head.weight[self.used] = self.output[: len(self.used)]
        if len(self.unused):
            self.model.lm_head.weight[self.unused] = self.output[-1]


def share_of_peak(step: int, job: Base) -> float:
    """Part of the peak learning rates at a step, 1 to ``job.steps``: linear warm-up, then half a cosine down."""
    if step <= job.warm_up:
        return step / job.warm_up
    done = (step - job.warm_up) / (job.steps - job.warm_up)
    return job.final_fraction + (1 - job.final_fraction) * (1 + math.cos(math.pi * done)) / 2


def batches(documents: list[list[int]], job: Base) -> Iterator[Tensor]:
    """Endless batches of windows; every pass over the corpus is packed and shuffled anew from the seed."""
    generator = torch.Generator().manual_seed(job.seed)
    while True:
        windows = pack(documents, job.sequence, generator)
        if len(windows) < job.batch:
            raise CorpusTooSmall(
                f"The corpus fills {len(windows)} sequences, fewer than a batch of {job.batch}.",
                "Add text, or lower base.batch.",
            )
        yield from windows[: len(windows) // job.batch * job.batch].split(job.batch)


def groups(model: LlamaForCausalLM, rows: UsedRows, job: Base) -> list[dict[str, Any]]:
    """Parameters for the optimiser with their peak learning rates; only the blocks' matrices decay."""
    inner = list(model.model.layers.parameters())
    matrices = [weight for weight in inner if weight.dim() == 2]
    norms = [weight for weight in inner if weight.dim() < 2] + [model.model.norm.weight]
    return [
        {"params": matrices, "peak": job.learning_rate, "weight_decay": job.weight_decay},
        {"params": norms, "peak": job.learning_rate, "weight_decay": 0.0},
        {"params": [rows.embedding], "peak": job.embedding_rate, "weight_decay": 0.0},
        {"params": [rows.output], "peak": job.output_rate, "weight_decay": 0.0},
    ]


def train(model: LlamaForCausalLM, documents: list[list[int]], job: Base) -> dict[str, Any]:
    """Train in place with AdamW.

    Returns:
        the training log: loss (nats a token), learning rate of the blocks and tokens so far of every step.

    Raises:
        CorpusTooSmall: the corpus does not fill one batch.
    """
    rows = UsedRows(model, documents)
    optimiser = torch.optim.AdamW(groups(model, rows, job), betas=job.betas, eps=1e-8, fused=True)
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    log: list[dict[str, float]] = []
    model.train()
    for step, windows in zip(range(1, job.steps + 1), batches(documents, job), strict=False):
        share = share_of_peak(step, job)
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * share
        loss = rows.loss(windows)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, job.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        tokens = step * windows[:, 1:].numel()
        log.append({"step": step, "loss": loss.item(), "learning_rate": job.learning_rate * share, "tokens": tokens})
        if step % max(1, job.steps // 50) == 0:
            report(step, job.steps, loss=loss.item())
    rows.write_back()
    return {
        "steps": log,
        "validation": [],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "tokens": log[-1]["tokens"],
    }
