"""Parameters that all training methods share."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tapeout.config.section import Section


class Layout(Section):
    """Processes that train one model together; part of a step's identity, because the layout orders the sums."""

    num_nodes: int = Field(
        1, ge=1, description="Machines. Fewer machines can run all processes and give the same bytes."
    )
    devices: int = Field(1, ge=1, description="Processes on each machine; with GPUs, one per GPU.")
    accelerator: Literal["cpu", "gpu"] = Field("cpu", description="Kind of device that computes.")
    tensor_model_parallel_size: int = Field(
        1, ge=1, description="Processes of one machine that share each matrix; the others are replicas of these."
    )

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return self.num_nodes * self.devices

    @property
    def replicas(self) -> int:
        """Number of processes, or groups of processes, that have the whole model and share the batch."""
        return self.world_size // self.tensor_model_parallel_size

    @model_validator(mode="after")
    def _groups_stay_on_a_machine(self) -> Self:
        """Keep processes that share matrices on one machine, because they communicate all the time."""
        if self.devices % self.tensor_model_parallel_size:
            raise ValueError("devices must be a multiple of tensor_model_parallel_size")
        return self


class Training(Section):
    """Optimizer, batch and length of a training run; all of it is identity, so the same values give the same bytes."""

    max_steps: int = Field(300, ge=1, description="Optimizer steps.")
    warmup_steps: int = Field(20, ge=0, description="Steps of linear warm-up, before half a cosine down.")
    lr: float = Field(3e-3, gt=0, description="Peak learning rate.")
    min_lr_fraction: float = Field(
        0.1, ge=0, lt=1, description="Fraction of the peak learning rate that the last step has."
    )
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay of all matrices.")
    betas: tuple[float, float] = Field((0.9, 0.99), description="Adam's two decay rates.")
    grad_clip: float = Field(1.0, gt=0, description="Maximum norm of the gradient.")
    seq_length: int = Field(256, ge=8, description="Tokens of a sequence.")
    global_batch_size: int = Field(8, ge=1, description="Sequences per step.")
    micro_batch_size: int = Field(
        8, ge=1, description="Sequences in one forward pass; only the last bits of a result depend on it."
    )
    seed: int = Field(1, ge=0, description="Seed of the order of the samples.")
    threads: int = Field(
        2, ge=1, description="Threads of the arithmetic in each process; results depend on their number."
    )
    layout: Layout = Field(Layout(), description="Processes that share the batch.")
    precision: Literal["32", "bf16-mixed"] = Field(
        "32", description="Precision: 32-bit floats, or bfloat16 with 32-bit sums and a 32-bit optimizer (GPU only)."
    )

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        """Check that the warm-up leaves steps at the peak, and that the micro-batches fill the batch."""
        if self.warmup_steps * 2 > self.max_steps:
            raise ValueError("warmup_steps must be at most half of max_steps")
        if self.global_batch_size % (self.micro_batch_size * self.layout.replicas):
            raise ValueError(
                "global_batch_size must be a multiple of "
                "micro_batch_size x layout.num_nodes x devices / tensor_model_parallel_size"
            )
        if self.precision != "32" and self.layout.accelerator == "cpu":
            raise ValueError(f"precision {self.precision} needs layout.accelerator gpu")
        return self
