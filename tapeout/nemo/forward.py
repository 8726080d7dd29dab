"""Forward pass of a training run in NeMo: fused attention, hidden states, and the summed loss of the masked tokens."""

import contextlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from megatron.core import parallel_state
from megatron.core.models.gpt import GPTModel
from megatron.core.tensor_parallel import gather_from_sequence_parallel_region
from megatron.core.transformer.module import MegatronModule
from nemo.lightning.megatron_parallel import MegatronLossReduction
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from tapeout.nemo.loss import Vocabulary, split_vocabulary, summed_loss
from tapeout.nemo.pipeline import sum_over_stages

DETERMINISTIC_ON_GPU = [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]
"""Flash attention takes no mask and no 32-bit floats; the memory-efficient kernel sums its gradients in any order."""


class FusedAttention(MegatronModule):  # type: ignore[misc]
    """PyTorch's fused attention as Megatron's core attention: several times faster without Transformer Engine.

    It is causal, or follows a mask: Megatron's, [b, 1, s, s], true where attention is forbidden. Packed rows have one
    that also separates the rows; rotary positions are relative, so a row need not begin at position 0.
    """

    def __init__(self, config: Any, *_: Any, softmax_scale: float | None = None, **__: Any) -> None:
        """Take Megatron's arguments, of which the scale and the width of a head count."""
        super().__init__(config=config)
        self.scale = softmax_scale or 1.0 / math.sqrt(config.kv_channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **_: Any) -> Tensor:
        """Attend; query [s, b, heads, size], key and value [s, b, groups, size], result [s, b, heads * size]."""
        heads_per_group = query.size(2) // key.size(2)
        key, value = (part.repeat_interleave(heads_per_group, dim=2) for part in (key, value))
        q, k, v = (part.permute(1, 2, 0, 3) for part in (query, key, value))
        allowed = None if attention_mask is None else ~attention_mask
        with sdpa_kernel(DETERMINISTIC_ON_GPU) if query.is_cuda else contextlib.nullcontext():
            mixed = torch.nn.functional.scaled_dot_product_attention(
                q, k, v, attn_mask=allowed, is_causal=allowed is None, scale=self.scale
            )
        return mixed.permute(2, 0, 1, 3).flatten(2)


def layer_spec(config: Any) -> Any:
    """Return Megatron's local layers with fused attention, a ``transformer_layer_spec`` of NeMo's configurations."""
    from nemo.collections.llm.gpt.model.base import local_layer_spec

    spec = local_layer_spec(config)
    spec.submodules.self_attention.submodules.core_attention = FusedAttention
    return spec


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

    def __call__(self, model: Any, batch: dict[str, Tensor]) -> Tensor:
        """Return the sum of the losses (nats) over the batch's tokens with mask 1.

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
        return summed_loss(hidden, output_weight(gpt), self.vocabulary, batch["labels"], batch["loss_mask"])


class LossReduction(MegatronLossReduction):  # type: ignore[misc]
    """Hand Megatron the sum and the number of tokens, so that it divides by the tokens of the whole batch."""

    tokens = 0
    """Tokens with a loss in the latest batch, on the last stage of a pipeline."""
    micro_batches: Tensor | None = None
    """Sum of the losses and tokens of this rank's micro-batches of that batch, [n, 2], likewise."""

    def forward(self, batch: dict[str, Tensor], loss: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Return the sum of the losses, the number of tokens, and both for the log."""
        count = batch["loss_mask"].sum().to(torch.int)
        return loss, count, {"sum_and_count": torch.stack([loss.detach().double(), count.double()])}

    def reduce(self, outputs: Sequence[dict[str, Tensor]]) -> Tensor:
        """Return the token-weighted mean over micro-batches and data-parallel ranks."""
        self.micro_batches = torch.stack([output["sum_and_count"] for output in outputs])
        total = self.micro_batches.sum(0)
        torch.distributed.all_reduce(total, group=parallel_state.get_data_parallel_group(with_context_parallel=True))
        self.tokens = int(total[1])
        return (total[0] / total[1]).float()


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


def parameter_count(model: Any) -> int:
    """Return the number of parameters of NeMo's model, of which this rank may have a part; every rank calls this."""
    gpt = megatron_model(model)
    ranks = parallel_state.get_tensor_model_parallel_world_size()
    tied_copy = gpt.share_embeddings_and_output_weights and gpt.post_process and not gpt.pre_process
    count = 0
    for name, parameter in gpt.named_parameters():
        if not (tied_copy and name == "output_layer.weight"):
            count += parameter.numel() * (ranks if getattr(parameter, "tensor_model_parallel", False) else 1)
    return sum_over_stages(count, next(gpt.parameters()).device)
