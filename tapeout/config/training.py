"""Parameters that all training methods share."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from tapeout.config.layout import Layout
from tapeout.config.optimizer import Decay, Seed, check_decay, check_warmup
from tapeout.config.section import Section, conflict


class Training(Section):
    """Optimizer, batch and length of a training run; all are part of the action: the same values give the same bytes.

    Attributes:
        PACKED: whether several rows share a sequence, and attention stays within each.
        TEMPLATED: whether the method encodes questions itself, with the prompt template of the fine-tuned model.
        ADAPTER: whether the result is an adapter, which the rule ``merged`` adds to the weights of the base model.
    """

    PACKED: ClassVar[bool] = False
    TEMPLATED: ClassVar[bool] = False
    ADAPTER: ClassVar[bool] = False

    max_steps: int = Field(300, ge=1, description="Optimizer steps.")
    warmup_steps: int = Field(20, ge=0, description="Steps of linear warm-up.")
    lr: float = Field(3e-3, gt=0, description="Peak learning rate.")
    schedule: Literal["cosine", "constant", "wsd"] = Field(
        "cosine",
        description="Learning rate after the warm-up: half a cosine down, constant, or constant and then a linear "
        "decay (wsd: warm-up, stable, decay; Hu et al., arXiv 2404.06395).",
    )
    decay_steps: int | None = Field(
        None, ge=1, description="With the schedule wsd: steps of the decay, the last ones of the training."
    )
    min_lr_fraction: float = Field(
        0.1, ge=0, lt=1, description="Fraction of the peak learning rate to which cosine and wsd decay."
    )
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay of all matrices.")
    betas: tuple[Decay, Decay] = Field((0.9, 0.99), description="Adam's two decay rates.")
    grad_clip: float = Field(1.0, gt=0, description="Maximum norm of the gradient.")
    seq_length: int = Field(256, ge=8, description="Tokens of a sequence.")
    global_batch_size: int = Field(8, ge=1, description="Sequences per step.")
    micro_batch_size: int = Field(
        8, ge=1, description="Sequences in one forward pass; only the last bits of a result depend on it."
    )
    seed: Seed = Field(1, description="Seed of the order of the samples.")
    threads: int = Field(
        2, ge=1, description="Threads of the arithmetic in each process; results depend on their number."
    )
    layout: Layout = Field(Layout(), description="Processes that share the batch.")
    precision: Literal["32", "bf16-mixed", "fp8"] = Field(
        "32",
        description="32-bit floats; on a GPU also bfloat16 with 32-bit sums and a 32-bit optimizer, or the same with "
        "the matrix products of the layers in 8 bits.",
    )
    deterministic: bool = Field(
        True,
        description="Use only kernels that give the same bytes in every run. False is faster, and needs a GPU.",
    )

    @property
    def read_sources(self) -> tuple[str, ...]:
        """Sources that the rule of the method reads, besides what other steps make; none by default."""
        return ()

    @model_validator(mode="after")
    def _warmup_leaves_steps_at_the_peak(self) -> Self:
        check_warmup(self.warmup_steps, self.max_steps)
        return self

    @model_validator(mode="after")
    def _options_of_the_schedule(self) -> Self:
        if self.schedule != "wsd" and self.decay_steps is not None:
            cause = f"decay_steps has no effect with the schedule {self.schedule}"
            raise conflict(cause, "Remove decay_steps, or set schedule: wsd.", "decay_steps", "schedule")
        if self.schedule == "constant" and self.min_lr_fraction != type(self).model_fields["min_lr_fraction"].default:
            cause = "min_lr_fraction has no effect with the schedule constant"
            raise conflict(cause, "Remove min_lr_fraction.", "min_lr_fraction", "schedule")
        if self.schedule == "wsd":
            check_decay(self.warmup_steps, self.decay_steps, self.max_steps)
        return self

    @model_validator(mode="after")
    def _micro_batches_fill_the_batch(self) -> Self:
        at_once = self.micro_batch_size * self.layout.replicas
        if self.global_batch_size % at_once:
            raise conflict(
                f"global_batch_size is {self.global_batch_size}, which is not a multiple of {at_once}: "
                f"micro_batch_size, {self.micro_batch_size}, for each of {self.layout.replicas} replicas of the model",
                f"Choose a multiple of {at_once}, or change micro_batch_size or layout.",
                *("global_batch_size", "micro_batch_size", "layout.num_nodes", "layout.devices"),
                *("layout.tensor_model_parallel_size", "layout.pipeline_model_parallel_size"),
                "layout.context_parallel_size",
            )
        return self

    @model_validator(mode="after")
    def _sequences_can_be_divided(self) -> Self:
        ranks, parts = self.layout.context_parallel_size, self.layout.tensor_model_parallel_size
        if ranks > 1 and self.seq_length % (2 * ranks):
            raise conflict(
                f"seq_length is {self.seq_length}, which layout.context_parallel_size, {ranks}, cannot divide into two "
                "chunks for each process",
                f"Choose a multiple of {2 * ranks}, or change layout.context_parallel_size.",
                *("seq_length", "layout.context_parallel_size"),
            )
        if self.layout.sequence_parallel and self.seq_length // ranks % parts:
            raise conflict(
                f"layout.sequence_parallel divides the {self.seq_length // ranks} positions of a process by "
                f"layout.tensor_model_parallel_size, {parts}, which leaves a remainder",
                f"Choose a multiple of {ranks * parts}, or remove layout.sequence_parallel.",
                *("seq_length", "layout.sequence_parallel", "layout.tensor_model_parallel_size"),
                *(["layout.context_parallel_size"] if ranks > 1 else []),
            )
        return self

    @model_validator(mode="after")
    def _float8_has_whole_matrices(self) -> Self:
        if self.precision == "fp8" and self.layout.tensor_model_parallel_size > 1:
            raise conflict(
                "precision fp8 needs whole matrices, and layout.tensor_model_parallel_size divides them",
                "Set layout.tensor_model_parallel_size: 1, or precision: bf16-mixed.",
                "precision",
                "layout.tensor_model_parallel_size",
            )
        return self

    @model_validator(mode="after")
    def _speed_is_chosen_where_there_is_a_choice(self) -> Self:
        if not self.deterministic and self.layout.accelerator == "cpu":
            raise conflict(
                "deterministic is false, which has no effect on a CPU",
                "Leave out deterministic, or set layout.accelerator: gpu.",
                "deterministic",
                "layout.accelerator",
            )
        return self

    @model_validator(mode="after")
    def _precision_fits_the_device(self) -> Self:
        if self.precision != "32" and self.layout.accelerator == "cpu":
            raise conflict(
                f"precision {self.precision} needs layout.accelerator gpu",
                'Set layout.accelerator: gpu, or precision: "32".',
                "precision",
                "layout.accelerator",
            )
        return self
