"""Refusal of models with an option that would be lost between import and export.

Import, training, evaluation and export each translate a model's configuration, and all go through the ``Architecture``
of its family. A configuration is therefore read into an architecture and made again: a field that comes out differently
is one that would be lost.
"""

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from tapeout.config.base import Architecture
from tapeout.encoder.interface import Encoder
from tapeout.models.config_fields import fields_of
from tapeout.models.family import Family
from tapeout.models.tokenizer_file import UnusableModel

if TYPE_CHECKING:
    from transformers import PretrainedConfig

BOOKKEEPING = {
    *("_attn_implementation_autoset", "_name_or_path", "model_type", "transformers_version", "use_cache"),
    "transformers.js_config",
}
"""Fields that describe a file or a program, not a model."""
IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
"""Fields with special ids."""


def special_ids(config: Any) -> dict[str, Any]:
    """Return the special ids of a configuration of a model or of generation, by Hugging Face's names."""
    return {name: getattr(config, name) for name in IDS}


def check_carried(config: "PretrainedConfig", family: Family) -> Architecture:
    """Check a Hugging Face configuration before anything is done with its model, and return its architecture.

    Raises:
        UnusableModel: names the first field, with its value, that cannot be carried through.
    """
    try:
        architecture = family.architecture_of(config)
    except ValidationError as error:
        first = error.errors()[0]
        option = ".".join(map(str, first["loc"])) or "an architecture"
        raise UnusableModel(
            f"The configuration of the model has {option} {first['input']!r}: {first['msg']}.", "Use another model."
        ) from error
    again = fields_of(family.huggingface_config(architecture, config.vocab_size, **special_ids(config)))
    values = fields_of(config)
    allowed: dict[str, tuple[Any, ...]] = {
        "architectures": (None, [family.model_class().__name__]),
        "torch_dtype": (None, again["torch_dtype"]),
    }
    for name in sorted(values.keys() - BOOKKEEPING):
        value, made = values[name], again.get(name)
        inert = family.INERT.get(name, (made,)) or (value,)
        if value != made and value not in (*allowed.get(name, ()), *inert):
            raise UnusableModel(
                f"The configuration of the model has {name} {value!r}, which training, evaluation and export "
                "would lose.",
                f"Use a model with {name} {allowed.get(name, (made,))[-1]!r}.",
            )
    return architecture


def check_vocabulary(config: "PretrainedConfig", encoder: Encoder) -> None:
    """Check that a model has a row for each piece of its tokenizer, and the special ids of the tokenizer.

    A model may have more rows, which pad its matrices, and further ids that end a text.

    Raises:
        UnusableModel: names the first field that differs.
    """
    eos = config.eos_token_id
    bad = {
        "vocab_size": config.vocab_size < encoder.size,
        "bos_token_id": encoder.bos not in (None, config.bos_token_id),
        "eos_token_id": encoder.eos not in (eos if isinstance(eos, list) else [eos]),
    }
    expected = {"vocab_size": encoder.size, "bos_token_id": encoder.bos, "eos_token_id": encoder.eos}
    for name, value in expected.items():
        if bad[name]:
            given = getattr(config, name)
            raise UnusableModel(
                f"The configuration of the model has {name} {given!r}, but its tokenizer has {value!r}.",
                "Use a model whose rows and special ids are those of its tokenizer.",
            )
