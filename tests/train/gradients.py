"""Gradients of a training on one rank, by Hugging Face name."""

import re
from pathlib import Path
from typing import Any

import torch

from tapeout.models.family import family_of
from tapeout.models.layout import weights_from_megatron
from tapeout.nemo.checkpoint import checkpoint_config
from tapeout.nemo.forward import megatron_model

CHECKPOINT_NAMES = {
    "input_layernorm.weight": "self_attention.linear_qkv.layer_norm_weight",
    "pre_mlp_layernorm.weight": "mlp.linear_fc1.layer_norm_weight",
}
"""Names of the norms of a layer in a checkpoint, by those in Megatron's local layers."""


def gradients_of(trainer: Any, base: Path) -> dict[str, torch.Tensor]:
    """Return the gradients of the latest step, after clipping, of a training from the checkpoint ``base``."""
    found: dict[str, Any] = {}
    for parameter, value in megatron_model(trainer.strategy.megatron_parallel).named_parameters():
        layer = re.fullmatch(r"(decoder\.layers\.)\d+\.(.*)", parameter)
        at = layer[1] + CHECKPOINT_NAMES.get(layer[2], layer[2]) if layer else parameter
        found.setdefault(at, []).append(value.main_grad.clone())
    stacked = {at: torch.stack(v) if "layers" in at else v[0] for at, v in found.items()}
    return weights_from_megatron(family_of(base).parts(checkpoint_config(base)), stacked)
