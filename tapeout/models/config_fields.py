"""Fields of Hugging Face configurations by one set of names, with transformers 4 and 5.

Version 5 keeps all settings of rotary positions in one field, ``rope_parameters``, and calls the type of the weights
``dtype``. Both versions read config.json in either form. Here, the names are those of version 4, in which Tapeout
writes models.
"""

from typing import TYPE_CHECKING, Any

import transformers

if TYPE_CHECKING:
    from transformers import PretrainedConfig

DTYPE = "torch_dtype" if int(transformers.__version__.partition(".")[0]) < 5 else "dtype"
"""Argument of the installed version for the type of the weights."""
ROTARY = ("rope_theta", "partial_rotary_factor")
"""Settings of rotary positions that have a field of their own in version 4."""


def fields_of(config: "PretrainedConfig") -> dict[str, Any]:
    """Return all fields of a configuration as JSON values."""
    values: dict[str, Any] = config.to_dict()
    if "dtype" in values:
        values["torch_dtype"] = values.pop("dtype")
    if "rope_parameters" in values:
        rotary = dict(values.pop("rope_parameters") or {})
        values.update({name: rotary.pop(name) for name in ROTARY if name in rotary})
        values["rope_scaling"] = None if rotary.get("rope_type", "default") == "default" else rotary
    return values


def dtype_of(config: "PretrainedConfig") -> Any:
    """Return the type of the weights that a configuration states; None if it states none."""
    return getattr(config, DTYPE)
