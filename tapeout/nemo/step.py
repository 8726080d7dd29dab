"""What NeMo computes in a step of ours: hidden states, and the summed loss of the masked tokens."""

from collections.abc import Sequence
from typing import Any

import torch
from megatron.core import parallel_state
from megatron.core.models.gpt import GPTModel
from megatron.core.tensor_parallel import gather_from_sequence_parallel_region
from nemo.lightning.megatron_parallel import MegatronLossReduction
from torch import Tensor

from tapeout.nemo.loss import Vocabulary, summed_loss


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
        total = torch.stack([output["sum_and_count"] for output in outputs]).sum(0)
        torch.distributed.all_reduce(total, group=parallel_state.get_data_parallel_group(with_context_parallel=True))
        self.tokens = int(total[1])
        return (total[0] / total[1]).float()


def megatron_model(model: Any) -> Any:
    """Megatron's GPT model inside NeMo's and the data-parallel wrappers, which pass its attributes through."""
    while not isinstance(model, GPTModel):
        model = model.module
    return model


def output_weight(gpt: Any) -> Tensor:
    """Weight of the output layer [v, d], shared with the embedding or not, put together where ranks share it.

    Each of these ranks then computes the whole loss, so each part of the weight already has its whole gradient.
    """
    weight: Tensor = (
        gpt.shared_embedding_or_output_weight() if gpt.share_embeddings_and_output_weights else gpt.output_layer.weight
    )
    if parallel_state.get_tensor_model_parallel_world_size() > 1:
        weight = gather_from_sequence_parallel_region(weight, tensor_parallel_output_grad=False)
    return weight


def parameter_count(gpt: Any) -> int:
    """All parameters of the model, of which this rank may hold a part."""
    ranks = parallel_state.get_tensor_model_parallel_world_size()
    shared = [getattr(parameter, "tensor_model_parallel", False) for parameter in gpt.parameters()]
    return sum(p.numel() * (ranks if part else 1) for p, part in zip(gpt.parameters(), shared, strict=True))
