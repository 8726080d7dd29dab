"""Patches that let nemo_toolkit 2.4.1 and megatron-core 0.13.1 run without a GPU, Transformer Engine, Apex or modelopt.

Both packages call CUDA by name in a few places that have nothing to do with the mathematics. Each function below
patches one such place and explains why. ``install()`` must run before ``nemo`` is imported; with a GPU it applies only
the patches that concern optional packages. Tested with the exact versions of the environment's lock.
"""

import functools
import importlib.util
import multiprocessing.dummy
import queue
import sys
import types
from collections.abc import Callable
from typing import Any

import torch

from tapeout.nemo.gradient_sums import use_fast_sums
from tapeout.nemo.swiglu import use_unmasked_gradient

INSTALLED: list[bool] = []
COMPILE = torch.compile
"""PyTorch's own function, which ``leave_functions_uncompiled`` replaces."""

FUSED_NORMS = {
    f"decoder.layers.*.{fused}.layer_norm_{kind}": f"decoder.layers.*.{local}.{kind}"
    for fused, local in (("self_attention.linear_qkv", "input_layernorm"), ("mlp.linear_fc1", "pre_mlp_layernorm"))
    for kind in ("weight", "bias")
}
"""Names of Transformer Engine's fused layer norms, with the names of the same weights in Megatron's local layers."""


def install(gpu: bool) -> None:
    """Apply every patch that a machine with or without a GPU needs; a second call does nothing."""
    if INSTALLED:
        return
    INSTALLED.append(True)
    stub_modelopt()
    if gpu:
        omit_warnings_in_layers()
        treat_tensors_in_groups()
        use_unmasked_gradient()
    else:
        leave_functions_uncompiled()
        answer_cuda_queries()
        keep_tensors_on_cpu()
        name_float_tensors_as_on_cuda()
    use_fast_sums()
    switch_off_fusions()
    extend_torch_norms()
    use_one_pass_adam()
    rename_fused_norms()
    skip_modelopt_state()
    save_from_this_process()
    if not gpu:
        use_plain_rng_tracker()
        accept_cpu_checkpoints()


def stub_modelopt() -> None:
    """Provide the constant of NVIDIA's optional modelopt that NeMo reads on import without a check."""
    if importlib.util.find_spec("modelopt") is not None:
        return
    for name in ("modelopt", "modelopt.torch", "modelopt.torch.speculative"):
        module: Any = types.ModuleType(name)
        module.__path__ = []
        module.EAGLE3_DEFAULT_CFG = {"algorithm": "eagle", "config": {}}
        sys.modules[name] = module


def leave_functions_uncompiled() -> None:
    """Make ``torch.compile`` return the function unchanged.

    Megatron compiles a few element-wise functions. On a CPU that needs a C++ compiler and costs more than it saves.
    """

    def unchanged(function: Any = None, **_: Any) -> Any:
        return unchanged if function is None else function

    compiler: Any = torch
    compiler.compile = unchanged


def compile_again() -> None:
    """Let ``torch.compile`` compile what it is given from now on; NeMo and Megatron have been imported by then."""
    compiler: Any = torch
    compiler.compile = COMPILE


def omit_warnings_in_layers() -> None:
    """Omit the warning that every linear layer prints about its group of ranks.

    ``torch.compile`` cannot trace it, and divides each decoder layer into five graphs instead of one.
    """
    from megatron.core import utils

    utils.warnings = types.SimpleNamespace(warn=lambda *_, **__: None)


def treat_tensors_in_groups() -> None:
    """Compute the norm of all gradients, and scale and copy tensors, with few kernels.

    Without Apex Megatron treats one tensor after another, and waits for the GPU once for each.
    """
    from megatron.core.optimizer import clip_grads, optimizer

    clip_grads.l2_norm_impl = norm_of_tensors
    clip_grads.multi_tensor_scale_impl = optimizer.multi_tensor_scale_impl = scale_tensors


def norm_of_tensors(_: int, __: Any, lists: list[list[torch.Tensor]], *___: Any) -> tuple[torch.Tensor, None]:
    """Return the norm [1] of all tensors of one list, as Apex's ``multi_tensor_l2norm`` does."""
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(lists[0]))).reshape(1), None


def scale_tensors(_: int, __: Any, lists: list[list[torch.Tensor]], factor: float) -> None:
    """Write the tensors of the first list times a factor to those of the second, as ``multi_tensor_scale`` does."""
    source, target = lists
    torch._foreach_copy_(target, source)
    if factor != 1.0:
        torch._foreach_mul_(target, factor)


def answer_cuda_queries() -> None:
    """Answer for the CPU when Megatron asks CUDA for the current device, its memory and its random state."""
    cuda: Any = torch.cuda
    cuda.current_device = lambda: torch.device("cpu")
    cuda.get_rng_state = lambda *_, **__: torch.get_rng_state()
    for name in ("synchronize", "empty_cache", "set_device", "manual_seed", "set_rng_state"):
        setattr(cuda, name, lambda *_, **__: None)
    for name in ("max_memory_reserved", "max_memory_allocated"):
        setattr(cuda, name, lambda *_, **__: 0)


def keep_tensors_on_cpu() -> None:
    """Create tensors on the CPU, or leave them there, where ``"cuda"`` is named."""
    import torch._dynamo  # builds its table of torch functions, which must see the originals
    from torch.utils._device import _device_constructors

    _device_constructors()  # likewise: this table is that of ``with torch.device(...)``
    for kind in (torch.Tensor, torch.nn.Module):
        setattr(kind, "cuda", lambda self, *_, **__: self)  # noqa: B010
    for name in ("tensor", "zeros", "ones", "empty", "empty_like", "full", "arange"):
        setattr(torch, name, _on_cpu(getattr(torch, name)))


def _on_cpu(factory: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    @functools.wraps(factory)
    def create(*args: Any, **kwargs: Any) -> torch.Tensor:
        if str(kwargs.get("device")).startswith("cuda"):
            kwargs["device"] = "cpu"
        kwargs.pop("pin_memory", None)
        return factory(*args, **kwargs)

    return create


def name_float_tensors_as_on_cuda() -> None:
    """Name CPU types as CUDA types: Megatron's optimizer sorts parameters by ``tensor.type()`` and knows only these."""
    tensor: Any = torch.Tensor
    original = tensor.type

    def type_(self: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        return result.replace("torch.", "torch.cuda.", 1) if isinstance(result, str) else result

    tensor.type = type_


def switch_off_fusions() -> None:
    """Switch off the kernels of Transformer Engine and Apex; the saved context still records the caller's arguments."""
    from megatron.core.transformer.transformer_config import TransformerConfig

    original = TransformerConfig.__post_init__

    def post_init(self: Any) -> None:
        self.apply_rope_fusion = self.persist_layer_norm = self.masked_softmax_fusion = False
        self.gradient_accumulation_fusion = False
        original(self)

    TransformerConfig.__post_init__ = post_init


def extend_torch_norms() -> None:
    """Give Megatron's local layers what only the norms of Apex have.

    These are the layer norm whose weight is stored reduced by 1, and sequence parallelism: there a norm sees a part of
    the positions, and Megatron adds the gradients of all parts for parameters that have the mark.
    """
    from megatron.core.transformer.torch_norm import WrappedTorchNorm

    original: Any = WrappedTorchNorm.__new__

    def new(cls: Any, config: Any, hidden_size: int, eps: float = 1e-5, **options: Any) -> Any:
        if config.layernorm_zero_centered_gamma and config.normalization == "LayerNorm":
            norm: torch.nn.Module = ZeroCenteredLayerNorm(hidden_size, eps)
        else:
            marked, config.sequence_parallel = config.sequence_parallel, False  # Megatron would refuse it
            try:
                norm = original(cls, config, hidden_size, eps, **options)
            finally:
                config.sequence_parallel = marked
        for parameter in norm.parameters():
            parameter.sequence_parallel = config.sequence_parallel
        return norm

    WrappedTorchNorm.__new__ = new


class ZeroCenteredLayerNorm(torch.nn.LayerNorm):  # type: ignore[misc]
    """Layer norm that multiplies by its weight plus 1, as in NVIDIA's GPT models (``layernorm1p``)."""

    def reset_parameters(self) -> None:
        """Start with a factor of 1."""
        torch.nn.init.zeros_(self.weight)
        torch.nn.init.zeros_(self.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Normalize the last dimension."""
        return torch.nn.functional.layer_norm(hidden, self.normalized_shape, self.weight + 1, self.bias, self.eps)


def use_plain_rng_tracker() -> None:
    """Use Megatron's inference tracker of random states; its training tracker consists of CUDA generators."""
    from megatron.core.tensor_parallel import random

    initialize = random.initialize_rng_tracker
    initialize(inference_rng_tracker=True, force_reset=True)
    random.initialize_rng_tracker = lambda *_, **__: initialize(inference_rng_tracker=True)
    random._set_cuda_rng_state = lambda *_, **__: None
    random._get_cuda_rng_state = lambda *_, **__: torch.get_rng_state()


def use_one_pass_adam() -> None:
    """Use PyTorch's fused AdamW, which reads memory once per step; without Apex Megatron takes the slow one."""
    from megatron.core import optimizer

    optimizer.Adam = functools.partial(torch.optim.AdamW, fused=True)


def rename_fused_norms() -> None:
    """Give NeMo's importer and exporter the local layers' names of the norms, which they would skip otherwise."""
    from nemo.lightning import io

    original = io.apply_transforms

    def apply(source: Any, target: Any, mapping: dict[str, str], *args: Any, **kwargs: Any) -> Any:
        local = {FUSED_NORMS.get(a, a): FUSED_NORMS.get(b, b) for a, b in mapping.items()}
        return original(source, target, local, *args, **kwargs)

    io.apply_transforms = apply


def accept_cpu_checkpoints() -> None:
    """Skip a check: after loading, NeMo moves some tensors to the GPU and asserts that there is one."""
    from nemo.lightning.io import pl

    pl._fix_tensors_device = lambda checkpoint: checkpoint


def skip_modelopt_state() -> None:
    """Report to ``export_ckpt``, which queries modelopt, that the model is not quantized."""
    from nemo.collections.llm.modelopt.quantization import quantizer

    manager = types.SimpleNamespace(is_converted=lambda *_, **__: False)
    quantizer.mto = types.SimpleNamespace(ModeloptStateManager=manager)


def save_from_this_process() -> None:
    """Let Megatron write a checkpoint in threads of this process, and wait for them.

    It would start a process that starts writers, and another one that passes on their results and imports NeMo for
    this. If this process were killed meanwhile, the writers would wait for ever, with a copy of its memory.
    Asynchronous saves, which only NeMo's importer makes, remain as they are.
    """
    import torch.distributed
    from megatron.core.dist_checkpointing.strategies import filesystem_async
    from megatron.core.dist_checkpointing.strategies.base import AsyncSaveShardedStrategy

    threads = types.SimpleNamespace(Process=multiprocessing.dummy.Process, Queue=queue.Queue, JoinableQueue=queue.Queue)

    def save(self: Any, tensors: Any, folder: Any) -> None:
        originals = filesystem_async._get_write_results_queue, filesystem_async.mp
        filesystem_async._get_write_results_queue = queue.Queue
        filesystem_async.mp = types.SimpleNamespace(get_context=lambda _: threads)
        try:
            request = self.async_save(tensors, folder)
            if request.async_fn is not None:
                rank, buckets, results = request.async_fn_args
                request.async_fn(rank, request.preload_fn() if request.preload_fn else buckets, results)
        finally:
            filesystem_async._get_write_results_queue, filesystem_async.mp = originals
        torch.distributed.barrier()
        for finalize in request.finalize_fns:
            finalize()

    AsyncSaveShardedStrategy.save = save
