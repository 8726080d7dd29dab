"""Layout of a training run: the processes that share one model and one batch."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tapeout.config.section import Section, conflict

Recompute = Literal["none", "selective", "full"]


class Layout(Section):
    """Processes that train one model together; part of a step's identity, because the layout orders the sums."""

    num_nodes: int = Field(
        1, ge=1, description="Machines. Fewer machines can run all processes and give the same bytes."
    )
    devices: int = Field(1, ge=1, description="Processes on each machine; with GPUs, one per GPU.")
    accelerator: Literal["cpu", "gpu"] = Field("cpu", description="Kind of device that computes.")
    gpu_model: str | None = Field(
        None,
        min_length=1,
        description="GPUs that compute, as nvidia-smi -L names them, e.g. NVIDIA H200; the bytes depend on it.",
    )
    tensor_model_parallel_size: int = Field(1, ge=1, description="Processes of one machine that share each matrix.")
    pipeline_model_parallel_size: int = Field(
        1, ge=1, description="Stages that share the layers; a micro-batch passes through one after another."
    )
    context_parallel_size: int = Field(
        1,
        ge=1,
        description="Processes that share each sequence, by position; each layer gathers the keys and values of all.",
    )
    sequence_parallel: bool = Field(
        False,
        description="Divide the activations of norms and residuals by position over the tensor-parallel processes.",
    )
    distributed_optimizer: bool = Field(
        False, description="Divide the optimizer's state over the copies of the model instead of repeating it."
    )
    recompute: Recompute = Field(
        "none",
        description="What the backward pass computes again instead of keeping it: nothing, the feed-forward layers "
        "(selective), or whole layers (full).",
    )

    @property
    def world_size(self) -> int:
        """Number of processes."""
        return self.num_nodes * self.devices

    @property
    def model_parallel_size(self) -> int:
        """Number of processes that have the whole model together."""
        return self.tensor_model_parallel_size * self.pipeline_model_parallel_size

    @property
    def copies(self) -> int:
        """Number of copies of the model: processes that have the same weights."""
        return self.world_size // self.model_parallel_size

    @property
    def replicas(self) -> int:
        """Number of processes, or groups of processes, that have the whole model and whole sequences of the batch."""
        return self.copies // self.context_parallel_size

    @model_validator(mode="after")
    def _groups_stay_on_a_machine(self) -> Self:
        """Keep processes that share matrices on one machine, because they communicate all the time."""
        if self.devices % self.tensor_model_parallel_size:
            raise conflict(
                f"devices is {self.devices}, which is not a multiple of tensor_model_parallel_size, "
                f"{self.tensor_model_parallel_size}",
                "Choose a number of devices that all groups of this size fill.",
                "devices",
                "tensor_model_parallel_size",
            )
        return self

    @model_validator(mode="after")
    def _groups_fill_the_processes(self) -> Self:
        group = self.model_parallel_size * self.context_parallel_size
        if self.world_size % group:
            shared = self.context_parallel_size > 1
            context = f", times context_parallel_size, {self.context_parallel_size}" if shared else ""
            raise conflict(
                f"num_nodes times devices is {self.world_size}, which is not a multiple of {group}: "
                f"tensor_model_parallel_size, {self.tensor_model_parallel_size}, times pipeline_model_parallel_size, "
                f"{self.pipeline_model_parallel_size}{context}",
                f"Choose a multiple of {group}, or fewer {'stages or parts of a sequence' if shared else 'stages'}.",
                *(["context_parallel_size"] if shared else []),
                *("pipeline_model_parallel_size", "tensor_model_parallel_size", "num_nodes", "devices"),
            )
        return self

    @model_validator(mode="after")
    def _gpus_are_named(self) -> Self:
        """Require the kind of GPUs, which decides the bytes and is not known where a run is planned."""
        if (self.accelerator == "gpu") != (self.gpu_model is not None):
            named = self.gpu_model is not None
            raise conflict(
                "gpu_model has no effect where accelerator is cpu"
                if named
                else "accelerator gpu needs gpu_model, because the bytes depend on it",
                "Remove gpu_model, or set accelerator: gpu."
                if named
                else "Write the name that nvidia-smi -L prints, for example gpu_model: NVIDIA H200.",
                "gpu_model",
                "accelerator",
            )
        return self

    @model_validator(mode="after")
    def _no_option_without_effect(self) -> Self:
        if self.sequence_parallel and self.tensor_model_parallel_size == 1:
            raise conflict(
                "sequence_parallel has no effect where tensor_model_parallel_size is 1",
                "Remove sequence_parallel, or raise tensor_model_parallel_size.",
                "sequence_parallel",
                "tensor_model_parallel_size",
            )
        if self.distributed_optimizer and self.copies == 1:
            raise conflict(
                "distributed_optimizer has no effect where the processes have the model only once",
                "Remove distributed_optimizer, or add devices or nodes.",
                *("distributed_optimizer", "num_nodes", "devices"),
            )
        return self
