"""Parameters and optimizers of a training run: PyTorch's optimizers inside Megatron's inside NeMo's."""

from typing import Any

import torch
from torch import Tensor


def parameters(model: Any) -> dict[str, Tensor]:
    """Return the model's parameters on this rank by name."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def trained_parameters(model: Any) -> dict[str, Tensor]:
    """Return the parameters that the training changes: all, or those of adapters."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}


def copy_tensors(saved: dict[str, Tensor], current: dict[str, Tensor]) -> None:
    """Set the current tensors to the saved ones, in place."""
    assert saved.keys() == current.keys()
    for name, tensor in current.items():
        tensor.copy_(saved[name])


def torch_optimizers(trainer: Any) -> list[torch.optim.Optimizer]:
    """Return PyTorch's optimizers inside Megatron's inside NeMo's."""
    return [inner.optimizer for inner in megatron_optimizers(trainer)]


def megatron_optimizers(trainer: Any) -> list[Any]:
    """Return Megatron's optimizers inside NeMo's."""
    megatron = [optimizer.mcore_optimizer for optimizer in trainer.optimizers]
    return [inner for outer in megatron for inner in getattr(outer, "chained_optimizers", [outer])]


def gather_parameters(trainer: Any) -> None:
    """Set the model's parameters from the parts of the ranks of a distributed optimizer, as after a step."""
    for optimizer in megatron_optimizers(trainer):
        optimizer._copy_main_params_to_model_params()
        for chunk in optimizer.model_chunks:
            chunk.start_param_sync(force_sync=True)


def main_parameters(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return what the optimizer updates: the model's parameters, or its own copies of higher precision."""
    groups = enumerate(optimizer.param_groups)
    return {f"{number}.{index}": p.detach() for number, group in groups for index, p in enumerate(group["params"])}
