"""Patches that let the NeMo-1 models of nemo_toolkit 2.4.1 run without Apex, Transformer Engine or a GPU.

Only processes that open a NeMo-1 archive with NeMo's own classes need them: no step of a build does, because
``tapeout.nemo.nemo1`` reads and writes these archives without NeMo. Call ``tapeout.nemo.process.prepare`` first.
"""

from typing import Any


def install() -> None:
    """Apply every patch."""
    accept_missing_apex()
    mark_parameters_by_megatron()
    use_local_layers()
    leave_torch_unchanged()


def accept_missing_apex() -> None:
    """Skip a check of the parallel strategy for Apex, none of which it uses."""
    from nemo.collections.nlp.parts import nlp_overrides

    nlp_overrides.HAVE_APEX = True


def mark_parameters_by_megatron() -> None:
    """Take Megatron's function that marks parameters as not split over ranks, for that of Apex of the same name."""
    from megatron.core.tensor_parallel import layers
    from nemo.collections.nlp.modules.common.megatron import build_model

    name = "set_defaults_if_not_set_tensor_model_parallel_attributes"
    setattr(build_model, name, getattr(layers, name))


def use_local_layers() -> None:
    """Build layers of PyTorch's operations; NeMo's own list of layer kinds imports Transformer Engine."""
    from megatron.core.models.gpt.gpt_layer_specs import get_gpt_layer_local_spec
    from nemo.collections.nlp.models.language_modeling import megatron_gpt_model

    def specs(name: str, config: Any, *_: Any, **__: Any) -> Any:
        if name:
            raise ValueError(f"{name} is none of NeMo's kinds of layers for GPT models; leave the option name empty.")
        return get_gpt_layer_local_spec(normalization=config.normalization)

    megatron_gpt_model.get_specs = specs


def leave_torch_unchanged() -> None:
    """Skip settings for NVIDIA's builds of PyTorch, which are chosen by a variable of NVIDIA's containers."""
    from nemo.collections.nlp.models.language_modeling.megatron_base_model import MegatronBaseModel

    MegatronBaseModel._enable_nvidia_optimizations = lambda self: None
