"""Threads, GPU and number format of evaluated models."""

from typing import Literal

from pydantic import Field

from tapeout.config.section import Section


class Computation(Section):
    """Threads, GPU and number format of a model that is evaluated; the last bits of its results depend on all three."""

    threads: int = Field(
        1,
        ge=1,
        description="Threads of PyTorch: another number adds floats in another order, so it is a parameter and not a "
        "resource.",
    )
    gpu_model: str | None = Field(
        None,
        min_length=1,
        description="GPU that computes, as nvidia-smi -L names it, e.g. NVIDIA H200: one for each step that runs a "
        "model. Null: the CPU computes.",
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="Number format of weights and activations; log-likelihoods are summed in double precision.",
    )

    @property
    def computation(self) -> "Computation":
        """These three settings alone."""
        return Computation(threads=self.threads, gpu_model=self.gpu_model, dtype=self.dtype)
