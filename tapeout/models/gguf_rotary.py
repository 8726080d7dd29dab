"""Scaled rotary positions (``llama3`` in Hugging Face) in a GGUF file: a tensor of the divisors of all frequencies.

A file has no field for the scaling's options. They are found again by trying the ones that published models have.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tapeout.guard.errors import UnusableModel

if TYPE_CHECKING:
    from numpy import ndarray

TENSOR = "rope_freqs.weight"
"""Name of the tensor."""
LOW, HIGH = 1.0, 4.0
"""Turns in the original context between which a frequency is divided in part, in all published models."""
CONTEXTS = [1 << power for power in range(4, 24)]
"""Original contexts that are tried, in tokens."""
TOLERANCE = 1e-5


def divisors(config: Mapping[str, Any]) -> "ndarray[Any, Any] | None":
    """Return the divisor of each frequency, in 32-bit floats; None if positions are not scaled.

    Args:
        config: content of config.json.
    """
    import numpy

    scaling = config.get("rope_scaling")
    if not scaling:
        return None
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    powers = numpy.arange(0, width, 2, dtype=numpy.float32) / numpy.float32(width)
    wavelengths = 2 * math.pi * numpy.float32(config["rope_theta"]) ** powers
    turns = scaling["original_max_position_embeddings"] / wavelengths
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    kept = numpy.clip((turns - low) / (high - low), 0, 1)
    result: ndarray[Any, Any] = (1 / ((1 - kept) / scaling["factor"] + kept)).astype(numpy.float32)
    return result


def scaling_of(values: "ndarray[Any, Any]", config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``rope_scaling`` of config.json that gives the divisors of a file.

    Args:
        values: content of the tensor.
        config: content of config.json without the scaling.

    Raises:
        UnusableModel: none gives them.
    """
    import numpy

    for context in CONTEXTS:
        scaling = {
            "rope_type": "llama3",
            "factor": float(str(numpy.float32(values.max()))),
            "low_freq_factor": LOW,
            "high_freq_factor": HIGH,
            "original_max_position_embeddings": context,
        }
        made = divisors({**config, "rope_scaling": scaling})
        if made is not None and made.shape == values.shape and numpy.allclose(made, values, rtol=TOLERANCE, atol=0):
            return scaling
    raise UnusableModel(
        f"The tensor {TENSOR} scales rotary positions in a way that no options of llama3 give.",
        "Use the original Hugging Face model instead.",
    )
