"""LoRA adapters of a Hugging Face model: NeMo AutoModel, with loss on the answers of instruction rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapeout.config.automodel_lora import AutomodelLora as Parameters

if TYPE_CHECKING:
    import lightning.pytorch as lightning
    from nemo.collections.llm.peft import LoRA

    from tapeout.train.method import Once
    from tapeout.train.samples import TrainingData

__all__ = ["KIND", "Parameters", "callbacks", "data", "peft"]

KIND = "automodel"
LAYERS = "model.layers.*"
"""Decoder layers, by the pattern of NeMo for modules."""


def data(job: Parameters, tokenizer: Path, inputs: Mapping[str, Any], once: "Once") -> "TrainingData":
    """Return packed training rows, and all validation rows; ``inputs`` is ``encoded``, as for ``sft``."""
    from tapeout.train.instruction_data import instruction_data

    return instruction_data(inputs["encoded"], job, job.val_check_interval, once)


def peft(job: Parameters) -> "LoRA":
    """Return NeMo's LoRA.

    Its initial values "xavier" are uniform from 0 to 1, so that every adapter would begin with the same large mean.
    The others, PEFT's, are symmetric about 0 with the variance of a linear layer.
    """
    from nemo.collections.llm.peft import LoRA

    return LoRA(
        target_modules=list(job.target_modules), dim=job.dim, alpha=job.alpha, lora_A_init_method="kaiming_uniform"
    )


def callbacks(job: Parameters) -> "list[lightning.Callback]":
    """Return NeMo's callback that compiles the model, if that is wanted.

    It compiles each decoder layer: they share one graph. The whole model as one graph took more than five minutes for
    30 layers on a GPU.
    """
    if not job.jit:
        return []
    from nemo.lightning.pytorch.callbacks import JitConfig, JitTransform

    from tapeout.nemo.shim import compile_again

    compile_again()
    return [JitTransform(JitConfig(use_torch=True, module_selector=LAYERS))]
