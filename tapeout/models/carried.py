"""Refusal of models with an option that would be lost between import and export.

Import, training, evaluation and export each translate a model's configuration, and each drops what it does not know. A
family lists the fields that all of them keep. Any other field must have the value that it has without being mentioned.
"""

from typing import TYPE_CHECKING, Any

from tapeout.encoder.interface import Encoder
from tapeout.models.family import Family
from tapeout.models.tokenizer_file import UnusableModel

if TYPE_CHECKING:
    from transformers import PretrainedConfig

BOOKKEEPING = {"_attn_implementation_autoset", "_name_or_path", "model_type", "transformers_version", "use_cache"}
"""Fields that describe a file or a program, not a model."""


def check_carried(config: "PretrainedConfig", family: Family) -> None:
    """Check a Hugging Face configuration before anything is done with its model.

    Raises:
        UnusableModel: names the first field, with its value, that cannot be carried through.
    """
    values: dict[str, Any] = config.to_dict()
    kept = {name: values[name] for name in family.CARRIED if name in values}
    defaults = type(config)(**kept).to_dict() | {"tie_word_embeddings": False}
    allowed: dict[str, tuple[Any, ...]] = {
        "architectures": (None, [family.model_class().__name__]),
        "torch_dtype": (None, "float32"),
    }
    for name in sorted(values.keys() - kept.keys() - BOOKKEEPING):
        if values[name] not in allowed.get(name, (defaults.get(name),)):
            raise UnusableModel(
                f"The configuration of the model has {name} {values[name]!r}, which training, evaluation and export "
                "would lose.",
                f"Use a model with {name} {allowed.get(name, (defaults.get(name),))[-1]!r}.",
            )


def check_vocabulary(config: "PretrainedConfig", encoder: Encoder) -> None:
    """Check that a model has one row for each piece of its tokenizer, and the special ids of the tokenizer.

    Raises:
        UnusableModel: names the first field that differs.
    """
    expected = {"vocab_size": encoder.size, "bos_token_id": encoder.bos, "eos_token_id": encoder.eos}
    for name, value in expected.items():
        given = getattr(config, name)
        if given != value:
            raise UnusableModel(
                f"The configuration of the model has {name} {given!r}, but its tokenizer has {value!r}.",
                "Use a model whose rows and special ids are those of its tokenizer.",
            )
