"""Causal attention by cuDNN, through NVIDIA's front end for it.

On Hopper GPUs it takes three quarters of the time of PyTorch's other kernels, also with gradients that are summed in
one order (benchmarks/training_speed.md). PyTorch's own binding lacks such gradients, so PyTorch's deterministic mode
refuses it.
"""

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tapeout.models.activations import gradient_scratch

AVAILABLE = importlib.util.find_spec("cudnn") is not None
"""True if the package nvidia-cudnn-frontend is installed."""
Layout = tuple[tuple[int, ...], tuple[int, ...]]
"""Shape and strides of a tensor."""


def suits(query: Tensor, deterministic: bool) -> bool:
    """Return whether cuDNN supports attention with these queries [b, heads, s, size] on a GPU."""
    batch, heads, length, size = query.shape
    narrow = query.dtype in (torch.bfloat16, torch.float16)
    fits = not deterministic or gradient_scratch(batch * length, length, heads, size) is not None
    return AVAILABLE and narrow and size % 8 == 0 and size <= 128 and fits


def attend(query: Tensor, key: Tensor, value: Tensor, scale: float, deterministic: bool) -> Tensor:
    """Attend causally on a GPU.

    Args:
        query: queries [b, heads, s, size].
        key: keys [b, groups, s, size].
        value: values [b, groups, s, size].
        scale: factor of the scores.
        deterministic: whether the gradients are summed in one order.

    Returns:
        sums of the values, weighted by attention, [b, heads, s, size]; in memory [s, b, heads, size].
    """
    mixed: Tensor = _attend(query, key, value, scale, deterministic)[0]
    return mixed


@dataclass(frozen=True)
class Plan:
    """A cuDNN graph for one layout of its tensors.

    Attributes:
        graph: the graph, built.
        tensors: the graph's tensors, the inputs before the outputs.
        scratch: bytes that it needs while it runs.
    """

    graph: Any
    tensors: Sequence[Any]
    scratch: int

    def run(self, tensors: Sequence[Tensor]) -> None:
        """Read the inputs and write the outputs, on the current stream."""
        import cudnn

        device = tensors[0].device
        handle = _handle(device.index)
        cudnn.set_stream(handle, torch.cuda.current_stream(device).cuda_stream)
        scratch = torch.empty(self.scratch, dtype=torch.uint8, device=device)
        self.graph.execute(dict(zip(self.tensors, tensors, strict=True)), scratch, handle=handle)


def _attend_now(query: Tensor, key: Tensor, value: Tensor, scale: float, deterministic: bool) -> tuple[Tensor, Tensor]:
    inputs = [_rows_contiguous(part) for part in (query, key, value)]
    outputs = [_sequence_first(query), _statistics(query)]
    plan = _forward_plan(tuple(map(_layout, [*inputs, *outputs])), scale, query.dtype, query.device.index)
    plan.run([*inputs, *outputs])
    return outputs[0], outputs[1]


def _attended(query: Tensor, key: Tensor, value: Tensor, scale: float, deterministic: bool) -> tuple[Tensor, Tensor]:
    return _sequence_first(query), _statistics(query)


def _differentiate_now(
    gradient: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mixed: Tensor,
    statistics: Tensor,
    scale: float,
    deterministic: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    inputs = [*(_rows_contiguous(part) for part in (query, key, value, mixed, gradient)), statistics]
    outputs = [_sequence_first(part) for part in (query, key, value)]
    layouts = tuple(map(_layout, [*inputs, *outputs]))
    plan = _backward_plan(layouts, scale, deterministic, query.dtype, query.device.index)
    plan.run([*inputs, *outputs])
    return outputs[0], outputs[1], outputs[2]


def _differentiated(gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: Any) -> tuple[Tensor, ...]:
    return _sequence_first(query), _sequence_first(key), _sequence_first(value)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, value, ctx.scale, ctx.deterministic = inputs
    ctx.save_for_backward(query, key, value, *output)


def _differentiate(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    return *_gradients(gradient, *ctx.saved_tensors, ctx.scale, ctx.deterministic), None, None


_attend: Any = torch.library.custom_op("tapeout::causal_attention", _attend_now, mutates_args=())
_attend.register_fake(_attended)
_attend.register_autograd(_differentiate, setup_context=_keep)
_gradients: Any = torch.library.custom_op("tapeout::causal_attention_gradients", _differentiate_now, mutates_args=())
_gradients.register_fake(_differentiated)


def _sequence_first(like: Tensor) -> Tensor:
    """Return a new tensor [b, heads, s, size], in memory [s, b, heads, size] as Megatron's are."""
    batch, heads, length, size = like.shape
    return like.new_empty(length, batch, heads, size).permute(1, 2, 0, 3)


def _statistics(query: Tensor) -> Tensor:
    """Return a new tensor for the log-sum-exp of the scores of each query, [b, heads, s, 1]."""
    return query.new_empty(*query.shape[:3], 1, dtype=torch.float32)


def _rows_contiguous(part: Tensor) -> Tensor:
    """Return a tensor whose last dimension is contiguous, as cuDNN requires."""
    return part if part.stride(-1) == 1 else part.contiguous()


def _layout(part: Tensor) -> Layout:
    return tuple(part.shape), part.stride()


@functools.cache
def _handle(device: int) -> Any:
    import cudnn

    with torch.cuda.device(device):
        return cudnn.create_handle()


def _new_graph(dtype: torch.dtype, device: int) -> Any:
    import cudnn

    narrow = {torch.bfloat16: cudnn.data_type.BFLOAT16, torch.float16: cudnn.data_type.HALF}[dtype]
    wide = cudnn.data_type.FLOAT
    return cudnn.pygraph(
        io_data_type=narrow, intermediate_data_type=wide, compute_data_type=wide, handle=_handle(device)
    )


def _plan(graph: Any, inputs: Sequence[Any], outputs: Sequence[Any], layouts: Sequence[Layout]) -> Plan:
    import cudnn

    for tensor, (shape, strides) in zip(outputs, layouts, strict=True):
        tensor.set_output(True).set_dim(list(shape)).set_stride(list(strides))
    graph.validate()
    graph.build_operation_graph()
    graph.create_execution_plans([cudnn.heur_mode.A])
    graph.check_support()
    graph.build_plans()
    return Plan(graph, [*inputs, *outputs], graph.get_workspace_size())


@functools.cache
def _forward_plan(layouts: tuple[Layout, ...], scale: float, dtype: torch.dtype, device: int) -> Plan:
    """Return the plan for query, key, value, mixed values and statistics of these layouts."""
    import cudnn

    graph = _new_graph(dtype, device)
    query, key, value = (graph.tensor(dim=list(shape), stride=list(strides)) for shape, strides in layouts[:3])
    mixed, statistics = graph.sdpa(q=query, k=key, v=value, generate_stats=True, attn_scale=scale, use_causal_mask=True)
    statistics.set_data_type(cudnn.data_type.FLOAT)
    return _plan(graph, [query, key, value], [mixed, statistics], layouts[3:])


@functools.cache
def _backward_plan(
    layouts: tuple[Layout, ...], scale: float, deterministic: bool, dtype: torch.dtype, device: int
) -> Plan:
    """Return the plan for query, key, value, mixed values, their gradient, statistics, and three gradients."""
    import cudnn

    graph = _new_graph(dtype, device)
    query, key, value, mixed, gradient = (
        graph.tensor(dim=list(shape), stride=list(strides)) for shape, strides in layouts[:5]
    )
    shape, strides = layouts[5]
    statistics = graph.tensor(dim=list(shape), stride=list(strides), data_type=cudnn.data_type.FLOAT)
    gradients = graph.sdpa_backward(
        q=query,
        k=key,
        v=value,
        o=mixed,
        dO=gradient,
        stats=statistics,
        attn_scale=scale,
        use_causal_mask=True,
        use_deterministic_algorithm=deterministic,
    )
    return _plan(graph, [query, key, value, mixed, gradient, statistics], gradients, layouts[6:])
