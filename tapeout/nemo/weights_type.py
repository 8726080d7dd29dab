"""Make the context of a NeMo-2 checkpoint state the number type of its weights.

A training copies the context of the model that it starts from, and may write its weights in another type.
"""

import json
import re
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from tapeout.guard.context import CONTEXT, MODEL, read_json
from tapeout.guard.weights import INDEX, read_metadata
from tapeout.models.family import NEMO_CONTEXT
from tapeout.nemo.checkpoint import PREFIX

YAML = (
    (r"(?m)^(  bf16: )\w+$", "bfloat16"),
    (r"(?m)^(  fp16: )\w+$", "float16"),
)
"""Lines of ``model.yaml``, the readable copy of the context, that state whether a type is that of the weights."""
YAML_TYPE = r"(?m)^(  params_dtype:\n    _call_: false\n    _target_: torch\.)\w+$"


def state_weights_type(checkpoint: Path) -> None:
    """Make the context of a checkpoint state the type that its weights have.

    Nothing is written if it does already, or if the weights have several types.
    """
    entries = read_metadata(checkpoint / "weights" / INDEX).state_dict_metadata.items()
    types = {
        str(entry.properties.dtype).removeprefix("torch.")
        for name, entry in entries
        if isinstance(entry, TensorStorageMetadata) and name.startswith(PREFIX)
    }
    if len(types) != 1:
        return
    (found,) = types
    context = checkpoint / NEMO_CONTEXT
    content = read_json(context)
    changed = False
    for value in content["objects"].values():
        if value["type"]["name"] == "Config" and _is_model(content, value):
            changed |= _state(dict(value["items"]), found)
    if not changed:
        return
    context.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n")
    readable = checkpoint / CONTEXT / "model.yaml"
    text = readable.read_text()
    for pattern, name in YAML:
        text = re.sub(pattern, rf"\g<1>{str(found == name).lower()}", text)
    readable.write_text(re.sub(YAML_TYPE, rf"\g<1>{found}", text))


def _is_model(content: dict[str, Any], value: dict[str, Any]) -> bool:
    """Return whether an object is the configuration of NeMo's model."""
    made_by = dict(content["objects"][value["metadata"]["key"]]["items"])["Attr(name='fn_or_cls')"]
    return MODEL.fullmatch(f"{made_by['module']}:{made_by['name']}") is not None and "Config" in made_by["name"]


def _state(items: dict[str, Any], found: str) -> bool:
    """Set the type in the arguments of a model's configuration; return whether it was another one."""
    wanted: dict[str, tuple[str, bool | str]] = {
        "bf16": ("value", found == "bfloat16"),
        "fp16": ("value", found == "float16"),
    }
    wanted["params_dtype"] = ("name", found)
    changed = False
    for name, (key, value) in wanted.items():
        argument = items.get(f"Attr(name='{name}')")
        if argument is not None and argument.get(key) != value:
            argument[key], changed = value, True
    return changed
