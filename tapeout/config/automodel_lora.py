"""Parameters of LoRA training on a Hugging Face model."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tapeout.config.low_rank import LowRank
from tapeout.config.optimizer import Decay
from tapeout.config.section import conflict
from tapeout.config.validated_training import MeasuredTraining


class AutomodelLora(MeasuredTraining, LowRank):
    """Low-rank adapters of a model's linear layers, with loss on the answers only; the model itself stays as it is.

    The defaults of the optimizer, the batch and the adapters are those of NeMo's tutorial for
    ``HFAutoModelForCausalLM``.
    """

    PACKED = True
    ADAPTER = True

    max_steps: int = Field(100, ge=1, description="Optimizer steps.")
    warmup_steps: int = Field(0, ge=0, description="Steps of linear warm-up.")
    lr: float = Field(1e-5, gt=0, description="Peak learning rate.")
    schedule: Literal["cosine", "constant", "wsd"] = Field(
        "constant", description="Learning rate after the warm-up, as for the other trainings."
    )
    betas: tuple[Decay, Decay] = Field((0.9, 0.999), description="Adam's two decay rates.")
    grad_clip: float = Field(0.5, gt=0, description="Maximum norm of the gradient.")
    global_batch_size: int = Field(20, ge=1, description="Sequences per step; several rows are packed into one.")
    micro_batch_size: int = Field(
        2, ge=1, description="Sequences in one forward pass; only the last bits of a result depend on it."
    )
    val_check_interval: int = Field(
        50, ge=1, description="Steps between measurements of the loss on the whole validation split."
    )
    jit: bool = Field(
        False,
        description="Compile the model with torch.compile, which needs a C++ compiler on the machine; the last bits "
        "depend on it.",
    )

    @model_validator(mode="after")
    def _one_process(self) -> Self:
        """Refuse what only Megatron's models can do."""
        if self.layout.world_size > 1:
            raise conflict(
                f"the layout has {self.layout.world_size} processes, but a Hugging Face model is trained in one",
                "Set layout.num_nodes and layout.devices to 1.",
                "layout.num_nodes",
                "layout.devices",
            )
        if self.layout.recompute != "none":
            raise conflict(
                f"layout.recompute is {self.layout.recompute}, which a Hugging Face model does not have",
                "Remove layout.recompute.",
                "layout.recompute",
            )
        if self.precision == "fp8":
            raise conflict(
                "precision is fp8, which a Hugging Face model does not have",
                "Write precision: bf16-mixed.",
                "precision",
            )
        return self
