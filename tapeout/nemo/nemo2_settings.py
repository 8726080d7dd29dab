"""Configuration of the model in a NeMo-2 checkpoint that somebody else made, and options that a family would lose.

A context records the values with which NeMo's configuration was made. The others are the defaults of its class, such
as ``Llama3Config8B``, in the version of NeMo that wrote the checkpoint. They are read from the class of the same name
in the NeMo that is installed here: its fields are looked at, and no object is made of it. The import compares the
result with the section ``base`` of the configuration and with every tensor.
"""

import dataclasses
import enum
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tapeout.config.base import Architecture
from tapeout.guard.context import MODEL, read_json
from tapeout.guard.errors import UnusableModel
from tapeout.models.family import NEMO_CONTEXT, Family

WITHOUT_EFFECT = re.compile(
    r".*(parallel|pipeline|microbatch|fusion|recompute|overlap|offload|comm|sync|p2p|barrier|timers|cuda|backend"
    r"|dtype|fp8|fp16|bf16|fp32|grad|init_method|perform_init|init_model|dropout|te_rng|deterministic|persist"
    r"|moe_|step_fn|layer_spec|per_token_loss|cross_entropy|generation_config|seq_length|max_position|vocab).*"
)
"""Fields that do not change what a model of a given architecture computes, or that ``Architecture`` has.

Those of experts count only if there are experts, which ``num_moe_experts`` says.
"""


def model_arguments(folder: Path, kind: Family) -> dict[str, Any]:
    """Return the values of the model's configuration, by NeMo's names; of a Python object its dotted name.

    Call ``check_checkpoint`` first.

    Raises:
        UnusableModel: the context has no configuration of the family.
    """
    objects = read_json(folder / NEMO_CONTEXT)["objects"]
    found: dict[str, dict[str, Any]] = {}
    try:
        for value in objects.values():
            if value["type"].get("name") == "Config":
                made_by = dict(objects[value["metadata"]["key"]]["items"])["Attr(name='fn_or_cls')"]
                recorded = {accessor.split("'")[1]: _value(objects, item) for accessor, item in value["items"]}
                defaults = _defaults(made_by["module"], made_by["name"], kind)
                if defaults is not None:
                    return _completed({**defaults, **recorded})
                found[made_by["name"]] = recorded
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise UnusableModel(
            f"{NEMO_CONTEXT} is not the context of a checkpoint: {error}.", "Fetch it again."
        ) from error
    raise UnusableModel(
        f"The model is not one of Hugging Face's type {kind.MODEL_TYPE}: its context has {', '.join(sorted(found))}.",
        "Name the family of this model (base.family).",
    )


def check_options(arguments: Mapping[str, Any], architecture: Architecture, kind: Family, rows: int) -> None:
    """Check that no value of a configuration is lost: a model of the family has the same, or it is without effect.

    Raises:
        UnusableModel: names the first that differs.
    """
    expected = kind.nemo_model(architecture, rows, None, None).config
    for name in sorted(arguments):
        other = getattr(expected, name, None)
        if WITHOUT_EFFECT.fullmatch(name) or _plain(arguments[name]) == _plain(other):
            continue
        raise UnusableModel(
            f"The context has {name} {arguments[name]!r}, and models of the chosen family have {_plain(other)!r}.",
            "Name the family of this model (base.family), or use another model.",
        )


def _defaults(module: str, name: str, kind: Family) -> dict[str, Any] | None:
    """Return the defaults of a class of NeMo, if it is a configuration of the family or derived from one."""
    import nemo.collections.llm  # noqa: F401  # which imports the modules of all its models

    made_by = getattr(sys.modules.get(module), name, None) if MODEL.fullmatch(f"{module}:{name}") else None
    if not isinstance(made_by, type) or made_by.__module__ != module or not dataclasses.is_dataclass(made_by):
        return None
    if not {parent.__name__ for parent in made_by.__mro__} & set(kind.NEMO_CONFIGS):
        return None
    defaults = {}
    for field in dataclasses.fields(made_by):
        if field.default is not dataclasses.MISSING:
            defaults[field.name] = field.default
        elif field.default_factory is not dataclasses.MISSING:
            defaults[field.name] = field.default_factory()
    return defaults


def _completed(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with the dimensions that Megatron computes from others where they are None."""
    width, heads = arguments["hidden_size"], arguments["num_attention_heads"]
    computed = {
        "num_query_groups": heads,
        "kv_channels": width // heads if heads else None,
        "ffn_hidden_size": 4 * width,
    }
    missing = {name: value for name, value in computed.items() if arguments.get(name) is None}
    return {**arguments, **missing}


def _value(objects: Mapping[str, Any], item: Mapping[str, Any]) -> Any:
    """Return the value of an argument in a context: of a Python object its name, of another object its type."""
    if item["type"] == "leaf":
        return item.get("value")
    if item["type"] == "pyref":
        return f"{item['module']}.{item['name']}"
    value = objects[item["key"]]
    kind = value["type"].get("name")
    return [_value(objects, inner) for _, inner in value["items"]] if kind in ("list", "tuple") else f"<{kind}>"


def _plain(value: Any) -> Any:
    """Return a value as ``_value`` gives it."""
    if isinstance(value, enum.Enum):
        return f"{type(value).__module__}.{type(value).__qualname__}.{value.name}"
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return value
