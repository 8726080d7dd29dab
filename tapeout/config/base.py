"""Parameters of the tiny base model: its architecture, its training, and the rows of new pieces."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SerializeAsAny, ValidationError, ValidationInfo, field_validator, model_validator

from tapeout import plugins
from tapeout.config.optimizer import Decay, Seed, check_warmup
from tapeout.config.plugin_options import plugin_class, with_hints
from tapeout.config.section import Section

SEAM = "tapeout.models"
"""Package of the model families."""


class Architecture(Section, ABC):
    """Dimensions of a model; each model family has a subclass with its own options."""

    seq_length: int = Field(default=256, ge=8, description="Tokens of a sequence: the model's context.")

    @abstractmethod
    def parameter_count(self, vocabulary: int) -> int:
        """Return the number of weights of a model with ``vocabulary`` rows in its embedding."""

    @abstractmethod
    def forward_flop(self, vocabulary: int, seq_length: int) -> int:
        """Return the FLOP of a forward pass per token, in sequences of ``seq_length`` tokens."""

    def training_flop(self, vocabulary: int, tokens: int, seq_length: int) -> int:
        """Return the FLOP of training on ``tokens`` tokens: a backward pass costs twice as much as a forward pass."""
        return 3 * self.forward_flop(vocabulary, seq_length) * tokens

    def training_bytes(self, vocabulary: int, tensor: int = 1, pipeline: int = 1, data: int = 1) -> float:
        """Return the bytes of weights, gradients and optimizer states on each GPU, without activations.

        Megatron-core with bfloat16 weights (2 bytes), 32-bit gradients (4), and Adam's 32-bit copy and two moments (12)
        divided among the data-parallel ranks by the distributed optimizer.

        Args:
            vocabulary: rows of the embedding.
            tensor: GPUs that share each matrix.
            pipeline: groups of GPUs that share the layers.
            data: replicas of the model.
        """
        return self.parameter_count(vocabulary) / (tensor * pipeline) * (6 + 12 / data)


def families() -> list[str]:
    """Return the names of the families in ``tapeout.models``, sorted: its sub-packages."""
    return sorted(path.parent.name for path in (Path(__file__).parents[1] / "models").glob("*/__init__.py"))


def _describe_families(schema: dict[str, Any]) -> None:
    """Put the options of all families of the package into the JSON schema."""
    schema["anyOf"] = [plugins.load(SEAM, name).Architecture.model_json_schema() for name in families()]


class Base(Section):
    """A tiny model trained for a short while on general text, so that it has something to forget."""

    family: str = Field(default="llama", description="Model family: a package of tapeout.models, or a dotted module.")
    architecture: SerializeAsAny[Architecture] = Field(
        default={},  # validated into the defaults of the family
        validate_default=True,
        description="Dimensions of the model, with the options of its family.",
        json_schema_extra=_describe_families,
    )
    max_steps: int = Field(default=640, ge=1, description="Optimizer steps.")
    global_batch_size: int = Field(default=4, ge=1, description="Sequences per step.")
    lr: float = Field(default=2e-3, gt=0, description="Peak learning rate of the layers' matrices and of the norms.")
    embedding_lr: float = Field(
        default=0.04,
        gt=0,
        description="Peak learning rate of the input embedding. Most rows get few gradients in a short training: at "
        "the layers' rate they hardly leave their initial noise, and the loss is a tenth or more higher.",
    )
    output_lr: float = Field(default=8e-3, gt=0, description="Peak learning rate of the output layer.")
    warmup_steps: int = Field(default=60, ge=0, description="Steps of linear warm-up.")
    min_lr_fraction: float = Field(
        default=0.05, ge=0, le=1, description="Fraction of the peak learning rates that the last step has."
    )
    weight_decay: float = Field(default=0.1, ge=0, description="Decoupled weight decay of the layers' matrices.")
    betas: tuple[Decay, Decay] = Field(default=(0.9, 0.99), description="AdamW's two decay rates.")
    grad_clip: float = Field(default=3.0, gt=0, description="Maximum norm of the gradient.")
    seed: Seed = Field(default=1, description="Seed of the initial weights and of the order of the documents.")
    threads: int = Field(
        default=2, ge=1, description="Threads of the arithmetic; results depend on their number, which orders the sums."
    )

    @property
    def family_module(self) -> str:
        """Dotted name of the family's module, which every rule that opens a model declares among its plugins."""
        return plugins.module_name(SEAM, self.family)

    @field_validator("family")
    @classmethod
    def _family_exists(cls, family: str) -> str:
        if "." not in family and family not in families():
            raise ValueError(f"there is no family {family}; name one of {', '.join(families())}, or a dotted module")
        plugin_class(SEAM, family, "Architecture", Architecture, "family")
        return family

    @field_validator("architecture", mode="plain")
    @classmethod
    def _options_of_the_family(cls, value: Any, info: ValidationInfo) -> Any:
        if "family" not in info.data:
            return value  # the family is wrong and is reported
        architecture = plugins.load(SEAM, info.data["family"]).Architecture
        given = value.model_dump() if isinstance(value, Architecture) else value
        try:
            return architecture.model_validate(given)
        except ValidationError as error:
            raise with_hints(error, architecture) from error

    @model_validator(mode="after")
    def _warmup_leaves_steps_at_the_peak(self) -> Self:
        check_warmup(self.warmup_steps, self.max_steps)
        return self


class BaseExtended(Section):
    """Initial values of the rows of new pieces."""

    output_init: Literal["mean", "zero"] = Field(
        default="zero",
        description="New rows of the output layer: zero, or the mean of the rows of a piece's parts.",
    )
