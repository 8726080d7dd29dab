"""LoRA adapters of the Megatron model, with loss on the answers of instruction rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from tapeout.config.low_rank import LowRank
from tapeout.config.section import conflict
from tapeout.config.validated_training import ValidatedTraining
from tapeout.data.encode.prompt import TEMPLATE_FILE

if TYPE_CHECKING:
    import lightning.pytorch as lightning

    from tapeout.nemo.forward import ForwardStep, LossReduction
    from tapeout.nemo.lora import LoraModel
    from tapeout.train.method import Once
    from tapeout.train.samples import TrainingData

__all__ = ["KIND", "Parameters", "adapters", "callbacks", "data", "files", "loss"]

KIND = "finetune"


class Parameters(ValidatedTraining, LowRank):
    """Low-rank adapters of a model's linear layers, with loss on the answers only; the model itself stays as it is."""

    PACKED = ADAPTER = True

    max_steps: int = Field(250, ge=1, description="Optimizer steps.")
    lr: float = Field(1e-4, gt=0, description="Peak learning rate.")
    global_batch_size: int = Field(16, ge=1, description="Sequences per step; several rows are packed into one.")

    @model_validator(mode="after")
    def _precision_is_tested(self) -> Self:
        if self.precision == "fp8":
            raise conflict(
                "precision fp8 is not supported for this method, whose matrices are narrow",
                "Set precision: bf16-mixed.",
                "precision",
            )
        return self


def data(job: Parameters, tokenizer: Path, inputs: Mapping[str, Any], once: "Once") -> "TrainingData":
    """Return packed training rows, and all validation rows; ``inputs`` is ``encoded``, as for ``sft``."""
    from tapeout.train.instruction_data import instruction_data

    return instruction_data(inputs["encoded"], job, job.val_check_interval, once, job.validation_by_category)


def loss(job: Parameters) -> "tuple[ForwardStep, LossReduction]":
    """Return the cross-entropy of the tokens whose loss mask is 1."""
    from tapeout.nemo.forward import ForwardStep, LossReduction

    return ForwardStep(), LossReduction()


def adapters(job: Parameters, base: Path) -> "LoraModel":
    """Return adapters for the model in a Hugging Face folder."""
    from tapeout.models.family import family_of
    from tapeout.models.huggingface import checked_config
    from tapeout.nemo.lora import LoraModel

    return LoraModel(family_of(base).parts(checked_config(base)), job, job.seed)


def callbacks(job: Parameters) -> "list[lightning.Callback]":
    """Return no further callbacks."""
    return []


def files(job: Parameters, inputs: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the prompt template of the rows."""
    return {TEMPLATE_FILE: (inputs["encoded"][0] / TEMPLATE_FILE).read_text()}
