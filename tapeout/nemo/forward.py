"""Forward pass of a training run in NeMo: hidden states, and the summed loss of the masked tokens."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from megatron.core import parallel_state
from megatron.core.models.gpt import GPTModel
from megatron.core.tensor_parallel import (
    ColumnParallelLinear,
    RowParallelLinear,
    gather_from_sequence_parallel_region,
)
from nemo.lightning.megatron_parallel import MegatronLossReduction
from numpy.typing import NDArray
from torch import Tensor

from tapeout.config.training import Training
from tapeout.nemo.attention import prepare_blocks
from tapeout.nemo.host_copy import HostCopy
from tapeout.nemo.loss import Vocabulary, split_vocabulary, summed_loss
from tapeout.nemo.pipeline import sum_over_stages


def data_step(batches: Iterator[Any]) -> dict[str, Tensor]:
    """Return the next batch on the device of the model; NeMo's own step knows only some of its tensors."""
    batch = next(batches)
    tensors: dict[str, Tensor] = batch[0] if isinstance(batch, tuple) else batch
    return {name: tensor.cuda(non_blocking=True) for name, tensor in tensors.items()}


class ForwardStep:
    """NeMo's forward step: hidden states from Megatron's model, then the summed loss of the masked tokens."""

    def __init__(self) -> None:
        """Leave the vocabulary open until ``prepare``."""
        self.vocabulary: Vocabulary | None = None

    def prepare(self, model: Any, targets: Iterable[NDArray[np.integer]]) -> None:
        """Find the output rows that can share a logit, once the weights are loaded."""
        gpt = megatron_model(model)
        if gpt.post_process:
            self.vocabulary = split_vocabulary(output_weight(gpt), targets)

    def measure(self, model: Any, samples: Any, job: Training, device: torch.device) -> None:
        """Compute what the loss needs of the initial model, before the first step; here nothing.

        All ranks call this without gradients. A training that is resumed calls it again, before it loads its
        checkpoint, so that the weights are always the initial ones.

        Args:
            model: NeMo's model.
            samples: samples of all steps (``tapeout.train.samples.Samples``).
            job: parameters of the training.
            device: device of this rank.
        """

    def __call__(self, model: Any, batch: dict[str, Tensor]) -> Tensor:
        """Return the result of ``output``: the sum of the losses (nats) over the batch's tokens with mask 1.

        Any stage of a pipeline but the last returns hidden states for the next one, [s, b, d], or this rank's part of
        the positions with sequence parallelism.
        """
        gpt = megatron_model(model)
        last = gpt.post_process
        gpt.post_process = False  # Megatron then returns hidden states, as from an inner pipeline stage
        try:
            hidden: Tensor = model(
                input_ids=batch["tokens"],
                position_ids=batch["position_ids"],
                attention_mask=batch.get("attention_mask"),
                labels=None,
            )
        finally:
            gpt.post_process = last
        if not last:
            return hidden
        if self.vocabulary is None:
            raise RuntimeError("prepare() must be called when training starts")
        if gpt.config.sequence_parallel:
            hidden = gather_from_sequence_parallel_region(hidden, tensor_parallel_output_grad=False)
        return self.output(hidden, output_weight(gpt), self.vocabulary, batch)

    def output(self, hidden: Tensor, weight: Tensor, vocabulary: Vocabulary, batch: dict[str, Tensor]) -> Tensor:
        """Return what the reduction computes the loss from: here the sum of the losses.

        Args:
            hidden: hidden states of the last layer, [s, b, d].
            weight: weight of the output layer, [v, d].
            vocabulary: division of its rows.
            batch: the micro-batch.
        """
        return summed_loss(hidden, weight, vocabulary, batch["labels"], batch["loss_positions"])


class LossReduction(MegatronLossReduction):  # type: ignore[misc]
    """Hand Megatron the sum and the number of tokens, so that it divides by the tokens of the whole batch.

    A subclass can take the mean over something else, and log further numbers of each step.
    """

    METRICS: ClassVar[tuple[str, ...]] = ()
    """Names of the further numbers."""
    total: HostCopy | None = None
    """Sums over the latest batch: losses, what they are the mean over, and those of ``sums``; on the last stage of a
    pipeline."""
    micro_batches: Tensor | None = None
    """The first two sums for this rank's micro-batches of that batch, [n, 2], likewise."""

    def loss(self, output: Tensor) -> Tensor:
        """Return the sum of the losses of a micro-batch from what the forward step returned."""
        return output

    def count(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the number that the sum of the losses is divided by: the tokens with mask 1."""
        return batch["loss_mask"].sum()

    def sums(self, batch: dict[str, Tensor], output: Tensor) -> list[Tensor]:
        """Return further sums over a micro-batch, from which ``values`` computes the further numbers."""
        return []

    def forward(self, batch: dict[str, Tensor], output: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the sum of the losses, the number that divides it, and all sums for the log."""
        loss, count = self.loss(output), self.count(batch).to(torch.int)
        sums = [loss.detach(), count, *self.sums(batch, output.detach())]
        return loss, count, {"sums": torch.stack([one.double() for one in sums])}

    def reduce(self, outputs: Sequence[dict[str, Tensor]]) -> Tensor:
        """Return the mean loss over micro-batches and data-parallel ranks."""
        sums = torch.stack([output["sums"] for output in outputs])
        self.micro_batches = sums[:, :2].contiguous()
        total = sums.sum(0)
        torch.distributed.all_reduce(total, group=parallel_state.get_data_parallel_group(with_context_parallel=True))
        self.total = HostCopy(total)
        return (total[0] / total[1]).float()

    def step_values(self) -> list[float]:
        """Return the loss, the number of tokens and the numbers of ``METRICS``; zeros on any stage but the last."""
        if self.total is None:
            return [0.0] * (2 + len(self.METRICS))
        return self.values(self.total.read())

    def values(self, total: Tensor) -> list[float]:
        """Return the loss, the number of tokens and the numbers of ``METRICS`` from the sums over a batch."""
        return [float((total[0] / total[1]).float()), int(total[1])]


def megatron_model(model: Any) -> Any:
    """Return Megatron's GPT model inside NeMo's and the data-parallel wrappers, which pass its attributes through."""
    while not isinstance(model, GPTModel):
        model = model.module
    return model


def output_weight(gpt: Any) -> Tensor:
    """Return the weight of the output layer [v, d], gathered from the ranks where they share it.

    Each of these ranks then computes the whole loss, so each part of the weight already has its whole gradient.
    """
    weight: Tensor = (
        gpt.shared_embedding_or_output_weight() if gpt.share_embeddings_and_output_weights else gpt.output_layer.weight
    )
    if parallel_state.get_tensor_model_parallel_world_size() > 1:
        weight = gather_from_sequence_parallel_region(weight, tensor_parallel_output_grad=False)
    return weight


def compile_layers(model: Any, length: int, device: torch.device) -> None:
    """Compile every decoder layer for sequences of a length.

    The layers share one graph, so that it takes seconds and not minutes.
    """
    if parallel_state.get_context_parallel_world_size() == 1:
        prepare_blocks(length, device)
    layers = megatron_model(model).decoder.layers
    if layers[0].config.sequence_parallel:
        leave_gathering_uncompiled(layers)
    for layer in layers:
        layer.compile()


def leave_gathering_uncompiled(layers: torch.nn.ModuleList) -> None:
    """Leave linear layers that gather the positions of all ranks out of the compiled graphs.

    Compiled by PyTorch 2.11 on GPUs, they have wrong gradients: the first loss is right, and later ones differ from
    those of other layouts by up to 3 (benchmarks/gpu_training.md). The place in the compiler is not known; it is not
    the buffer that Megatron shares between these layers, because new ones gave the same losses.
    """
    for module in layers.modules():
        if isinstance(module, ColumnParallelLinear | RowParallelLinear):
            module.forward = torch.compiler.disable(module.forward)


def parameter_count(model: Any, trained: bool = False) -> int:
    """Return the number of parameters of NeMo's model, of which this rank may have a part; every rank calls this.

    Args:
        model: NeMo's model.
        trained: count only the parameters that the training changes.
    """
    gpt = megatron_model(model)
    ranks = parallel_state.get_tensor_model_parallel_world_size()
    tied_copy = gpt.share_embeddings_and_output_weights and gpt.post_process and not gpt.pre_process
    count = 0
    for name, parameter in gpt.named_parameters():
        if not (tied_copy and name == "output_layer.weight") and (parameter.requires_grad or not trained):
            count += parameter.numel() * (ranks if getattr(parameter, "tensor_model_parallel", False) else 1)
    return sum_over_stages(count, next(gpt.parameters()).device)


def model_flops(model: Any, parameters: int, trained: int, attended: int) -> float:
    """Return the operations of a forward and backward pass for one position (Kaplan et al., arXiv 2001.08361).

    Args:
        model: NeMo's model.
        parameters: number of its parameters.
        trained: number of those that the training changes; only these have gradients, which take 2 of 6 operations.
        attended: length of a sequence, of which a position attends to half on average.
    """
    gpt = megatron_model(model)
    config = gpt.config
    looked_up: int = 0 if gpt.share_embeddings_and_output_weights else gpt.vocab_size * config.hidden_size
    width: int = config.num_attention_heads * config.kv_channels
    layers: int = config.num_layers
    multiplying = parameters - looked_up
    return 4.0 * multiplying + 2.0 * min(trained, multiplying) + 6.0 * layers * width * attended
