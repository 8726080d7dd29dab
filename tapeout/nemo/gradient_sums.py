"""Sums of gradients over micro-batches, with kernels that use the whole speed of the memory.

PyTorch's kernels that add numbers of two types, or multiply by a number on the GPU, reach half of the memory's speed.
The kernels here give the same bytes (benchmarks/training_speed.md).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def use_fast_sums() -> None:
    """Let Megatron's data-parallel wrapper add and scale the gradients with the functions of this module."""
    from megatron.core.distributed.distributed_data_parallel import DistributedDataParallel
    from megatron.core.distributed.param_and_grad_buffer import _ParamAndGradBuffer

    wrapper: Any = DistributedDataParallel
    original = wrapper._make_backward_post_hook
    compiled = torch.compile(add, dynamic=True)

    def make_hook(self: Any, parameter: Any) -> Callable[..., None]:
        rest = original(self, parameter)

        def hook(*unused: Any) -> None:
            if parameter.grad is not None and parameter in self.param_to_bucket_group:
                compiled(parameter.main_grad.view(-1), parameter.grad.reshape(-1))
                parameter.grad = None
            rest(*unused)

        return hook

    wrapper._make_backward_post_hook = make_hook
    _ParamAndGradBuffer.scale_gradients = lambda self, factor: scale(self.grad_data, factor)


def add(total: Tensor, part: Tensor) -> None:
    """Add a gradient [n] of any type to the sum [n], in the type of the sum."""
    total.add_(part)


def scale(gradients: Tensor, factor: Tensor | float) -> None:
    """Multiply gradients [n] by a number, or by a tensor with one number."""
    torch._foreach_mul_([gradients], factor.reshape(()).to(gradients.dtype) if isinstance(factor, Tensor) else factor)
