"""What the two trainings in NeMo have in common."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tapeout.config.section import Section


class Layout(Section):
    """Processes that train one model together. Identity: the layout orders the sums, so another one has other bytes."""

    nodes: int = Field(1, ge=1, description="Machines. Fewer may do the work of all: the bytes are the same.")
    processes: int = Field(1, ge=1, description="Processes on each machine; with GPUs, one for each of them.")
    accelerator: Literal["cpu", "gpu"] = Field("cpu", description="What computes.")
    tensor: int = Field(
        1, ge=1, description="Processes of one machine that share each matrix; the others are replicas of them."
    )

    @property
    def world(self) -> int:
        """All processes."""
        return self.nodes * self.processes

    @property
    def replicas(self) -> int:
        """Processes, or groups of them, that hold the whole model and share the batch."""
        return self.world // self.tensor

    @model_validator(mode="after")
    def fills_machines(self) -> Self:
        """Those that share matrices talk all the time, and so must be on one machine."""
        if self.processes % self.tensor:
            raise ValueError("processes must be a multiple of tensor")
        return self


class Training(Section):
    """Optimiser, batch and length of a training. All of it is identity: the same values give the same bytes."""

    steps: int = Field(300, ge=1, description="Optimiser steps.")
    warm_up: int = Field(20, ge=0, description="Steps of linear warm-up, before half a cosine down.")
    learning_rate: float = Field(3e-3, gt=0, description="Peak learning rate.")
    final_fraction: float = Field(0.1, ge=0, lt=1, description="Part of the peak learning rate left at the last step.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay of all matrices.")
    betas: tuple[float, float] = Field((0.9, 0.99), description="Adam's two decay rates.")
    clip: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    seq_length: int = Field(256, ge=8, description="Tokens of a sequence.")
    global_batch: int = Field(8, ge=1, description="Sequences a step.")
    micro_batch: int = Field(
        8, ge=1, description="Sequences in one forward pass; only the last bits depend on it (F45)."
    )
    seed: int = Field(1, ge=0, description="Seed of the order of the samples.")
    threads: int = Field(
        2, ge=1, description="Threads of the arithmetic in each process; their number orders the sums."
    )
    layout: Layout = Field(Layout(), description="Processes that share the batch between them.")
    precision: Literal["32", "bf16-mixed"] = Field(
        "32", description="Of the arithmetic: 32-bit floats, or bfloat16 with 32-bit sums and a 32-bit optimizer (GPU)."
    )

    @model_validator(mode="after")
    def fits(self) -> Self:
        """The warm-up leaves steps at the peak (F43), and the replicas' micro-batches fill the batch."""
        if self.warm_up * 2 > self.steps:
            raise ValueError("warm_up must be at most half of steps")
        if self.global_batch % (self.micro_batch * self.layout.replicas):
            raise ValueError("global_batch must be a multiple of micro_batch x layout.nodes x processes / tensor")
        if self.precision != "32" and self.layout.accelerator == "cpu":
            raise ValueError(f"precision {self.precision} needs layout.accelerator gpu")
        return self
