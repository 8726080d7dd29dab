"""Training of the tiny base model on general text."""

import math
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tapeout.config.bases.tiny import Base
from tapeout.data.encode.packing import windows
from tapeout.data.errors import NotEnoughData
from tapeout.data.io.jsonl import read_texts
from tapeout.encoder.load import load_encoder
from tapeout.models.base_checkpoint import BaseCheckpoint
from tapeout.models.finite import Batch, check_value, check_weights
from tapeout.models.loss import LinearCrossEntropy
from tapeout.progress import report

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def make_deterministic(threads: int) -> None:
    """Configure PyTorch so that two runs give the same bits.

    Filling fresh memory is left out: it costs time and only matters to programs that read what they have not written.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False


def read_documents(corpus: Path, tokenizer: Path) -> list[list[int]]:
    """Return the token ids of all documents, each between the ids that begin and end a text.

    Raises:
        BadRow: a line of the corpus is not a JSON object with a text.
        NotEnoughData: the corpus has no text.
    """
    encoder = load_encoder(tokenizer)
    return [[*encoder.bos_ids, *ids, encoder.eos] for ids in encoder.encode_batch(read_texts(corpus))]


def pack(documents: list[list[int]], seq_length: int, generator: torch.Generator) -> Tensor:
    """Cut the documents, in a random order, into windows of ``seq_length + 1`` tokens, and shuffle these.

    Shuffling makes a batch a mixture of documents.

    Returns:
        token ids, [windows, seq_length + 1]; fewer than ``seq_length`` tokens at the end are left out.

    Raises:
        NotEnoughData: there is not one window.
    """
    order = torch.randperm(len(documents), generator=generator).tolist()
    cut = torch.from_numpy(windows([documents[index] for index in order], seq_length))
    if not len(cut):
        raise NotEnoughData(
            f"The corpus has {sum(map(len, documents))} tokens, fewer than one sequence of {seq_length + 1}.",
            "Add text, or lower base.architecture.seq_length.",
        )
    return cut[torch.randperm(len(cut), generator=generator)]


def batches(documents: list[list[int]], job: Base) -> Iterator[Tensor]:
    """Yield batches of windows without end; each pass over the corpus is packed and shuffled again from the seed."""
    generator = torch.Generator().manual_seed(job.seed)
    while True:
        packed = pack(documents, job.architecture.seq_length, generator)
        if len(packed) < job.global_batch_size:
            raise NotEnoughData(
                f"The corpus fills {len(packed)} sequences, fewer than a batch of {job.global_batch_size}.",
                "Add text, or lower base.global_batch_size.",
            )
        yield from packed[: len(packed) // job.global_batch_size * job.global_batch_size].split(job.global_batch_size)


class UsedRows:
    """The rows of a model's vocabulary that occur in the training text, trained in place of all rows.

    A piece that never occurs in the text gets no gradient in the input embedding, and in the output layer the same
    push away from every hidden state as all other such pieces. These pieces therefore share one output row during
    training, whose logit is raised by the logarithm of their number: the loss is exactly that of the whole vocabulary,
    at the cost of the used part (about a third of 32,000).

    With tied embeddings the used rows are trained as input and output at once, and the shared row is both for all
    pieces that never occur.
    """

    def __init__(self, model: "PreTrainedModel", documents: list[list[int]]) -> None:
        """Copy the used rows."""
        self.body = model.base_model
        self.embedding_weight = model.get_input_embeddings().weight
        self.output_weight = model.get_output_embeddings().weight
        size = model.config.vocab_size
        self.used = torch.tensor(sorted({token for document in documents for token in document}))
        self.unused = torch.ones(size, dtype=torch.bool).index_fill_(0, self.used, False).nonzero()[:, 0]
        self.column = torch.full((size,), -1).index_copy_(0, self.used, torch.arange(len(self.used)))
        self.embedding = nn.Parameter(self.embedding_weight.detach()[self.used].clone())
        self.tied = self.output_weight is self.embedding_weight
        output = self.output_weight.detach()
        shared = output[self.unused].mean(0, keepdim=True) if len(self.unused) else output[:0]
        self.output = nn.Parameter(shared if self.tied else torch.cat([output[self.used], shared]))
        self.bias = torch.zeros(len(self.used) + len(shared))
        if len(self.unused):
            self.bias[-1] = math.log(len(self.unused))

    def loss(self, batch: Tensor) -> Tensor:
        """Return the mean loss in nats over all tokens of a batch of windows [batch, seq_length + 1]."""
        columns = self.column[batch]
        inputs = nn.functional.embedding(columns[:, :-1], self.embedding)
        hidden = self.body(inputs_embeds=inputs, use_cache=False).last_hidden_state
        output = torch.cat([self.embedding, self.output]) if self.tied else self.output
        loss: Tensor = LinearCrossEntropy.apply(hidden.flatten(0, 1), output, self.bias, columns[:, 1:].flatten())
        return loss

    def write_back(self) -> None:
        """Copy the trained rows into the model; unused output rows all become the shared one."""
        with torch.no_grad():
            self.embedding_weight[self.used] = self.embedding
            if not self.tied:
                self.output_weight[self.used] = self.output[: len(self.used)]
            if len(self.unused):
                self.output_weight[self.unused] = self.output[-1]

    def parameter_groups(self, job: Base) -> list[dict[str, Any]]:
        """Return AdamW's parameter groups with their peak learning rates; only the layers' matrices decay."""
        layers = [weight for weight in self.body.parameters() if weight is not self.embedding_weight]
        matrices = [weight for weight in layers if weight.dim() == 2]
        norms = [weight for weight in layers if weight.dim() < 2]
        return [
            {"params": matrices, "peak": job.lr, "weight_decay": job.weight_decay},
            {"params": norms, "peak": job.lr, "weight_decay": 0.0},
            {"params": [self.embedding], "peak": job.output_lr if self.tied else job.embedding_lr, "weight_decay": 0.0},
            {"params": [self.output], "peak": job.output_lr, "weight_decay": 0.0},
        ]


def lr_fraction(step: int, job: Base) -> float:
    """Return the fraction of the peak learning rates at ``step``, 1 to ``job.max_steps``.

    The schedule is a linear warm-up followed by half a cosine.
    """
    if step <= job.warmup_steps:
        return step / job.warmup_steps
    progress = (step - job.warmup_steps) / (job.max_steps - job.warmup_steps)
    return job.min_lr_fraction + (1 - job.min_lr_fraction) * (1 + math.cos(math.pi * progress)) / 2


def batch_of(documents: list[list[int]], job: Base, step: int) -> Batch:
    """Return the lines of the training text from which the batch of a step was made, by drawing all batches again."""
    lines = [[number] * len(document) for number, document in enumerate(documents, start=1)]
    batch = next(islice(batches(lines, job), step - 1, None))
    return Batch([f"line {number}" for number in batch.unique().tolist()])


def train(model: "PreTrainedModel", documents: list[list[int]], job: Base) -> dict[str, Any]:
    """Train a model in place with AdamW.

    Returns:
        the training log: for each step the loss (nats per token), the layers' learning rate and the tokens so far.

    Raises:
        NotEnoughData: the corpus does not fill one batch.
        NonFinite: a loss, the norm of a gradient or a trained weight is not finite.
        SystemExit: the training was asked to stop, and has saved its state.
    """
    rows = UsedRows(model, documents)
    optimizer = torch.optim.AdamW(rows.parameter_groups(job), betas=job.betas, eps=1e-8, fused=True)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    checkpoint = BaseCheckpoint(weights, optimizer)
    log = checkpoint.resume()
    model.train()
    rest = islice(batches(documents, job), len(log), None)
    for step, batch in zip(range(len(log) + 1, job.max_steps + 1), rest, strict=False):
        fraction = lr_fraction(step, job)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * fraction
        loss = rows.loss(batch)
        lines = partial(batch_of, documents, job, step)
        check_value("loss", loss.item(), step, lines)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(weights, job.grad_clip)
        check_value("gradient norm", norm.item(), step, lines)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        tokens = step * batch[:, 1:].numel()
        log.append({"step": step, "loss": loss.item(), "learning_rate": job.lr * fraction, "tokens": tokens})
        if step % max(1, job.max_steps // 50) == 0:
            report(step, job.max_steps, loss=loss.item())
        if step < job.max_steps:  # else the model is about to be written
            checkpoint.after_step(log)
    rows.write_back()
    check_weights(model.named_parameters(), job.max_steps)
    return {
        "steps": log,
        "validation": [],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "tokens": log[-1]["tokens"],
    }
