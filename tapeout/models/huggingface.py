"""Model folders in Hugging Face layout: create, save and load."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tapeout.config.base import Architecture
from tapeout.config.bases.tiny import Base
from tapeout.encoder.load import load_encoder
from tapeout.models.carried import check_carried, check_vocabulary, special_ids
from tapeout.models.config_fields import DTYPE, dtype_of
from tapeout.models.family import Family, family_of, load_family
from tapeout.models.tokenizer_file import UnusableModel

if TYPE_CHECKING:
    from transformers import GenerationConfig, PretrainedConfig, PreTrainedModel


def new_model(job: Base, tokenizer: Path) -> "PreTrainedModel":
    """Return a model of the family ``job.family`` with initial weights drawn from the seed.

    Raises:
        UnusableModel: the family gives the model an option that cannot be carried through.
    """
    encoder = load_encoder(tokenizer)
    family = load_family(job.family)
    ids = {"bos_token_id": encoder.bos, "eos_token_id": encoder.eos, "pad_token_id": None}
    config = family.huggingface_config(job.architecture, encoder.size, **ids)
    check_carried(config, family)
    check_vocabulary(config, encoder)
    torch.manual_seed(job.seed)
    return family.model_class()(config)


def save_model(model: "PreTrainedModel", family: Family, tokenizer: Path, output: Path) -> None:
    """Write model and tokenizer into the new folder ``output``; the same model gives the same bytes.

    The weights are written in the type that the model's configuration states.
    """
    model.to(dtype_of(model.config) or torch.float32)
    model.config._name_or_path = ""
    model.save_pretrained(output, safe_serialization=True)
    write_tokenizer(family, tokenizer, model.config.max_position_embeddings, output)
    (output / "model.safetensors").chmod(0o644)


def write_tokenizer(family: Family, tokenizer: Path, context: int, output: Path) -> None:
    """Write the files of a tokenizer into a model's folder.

    Args:
        family: the model's family.
        tokenizer: file of the vocabulary.
        context: tokens of the model's longest sequence.
        output: the folder.
    """
    encoder = load_encoder(tokenizer)
    for name, content in encoder.model_files().items():
        (output / name).write_bytes(content)
    settings = encoder.model_settings({**family.tokenizer_config(), "sp_model_kwargs": {}})
    settings["model_max_length"] = context
    (output / "tokenizer_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def checked_config(folder: Path) -> "PretrainedConfig":
    """Return the configuration in a Hugging Face folder.

    Raises:
        UnusableModel: it names no family that may be loaded here, or has an option that cannot be carried through.
    """
    family = family_of(folder)
    try:
        config: PretrainedConfig = family.model_class().config_class.from_pretrained(folder, local_files_only=True)
    except (TypeError, ValueError, KeyError) as error:
        raise UnusableModel(f"{folder / 'config.json'} cannot be read: {error}.", "Correct it.") from error
    check_carried(config, family)
    return config


def architecture_of(folder: Path) -> Architecture:
    """Return the architecture of the model in a Hugging Face folder, from its config.json alone.

    Raises:
        UnusableModel: see ``checked_config``.
    """
    return family_of(folder).architecture_of(checked_config(folder))


def generation_of(folder: Path) -> "GenerationConfig | None":
    """Return the settings of generation in a Hugging Face folder; None if there are none.

    Of settings that contradict each other, such as a temperature without sampling in Llama 2, only the special ids are
    returned: transformers reads such settings, and refuses to write them. Tapeout always takes the likeliest token.
    """
    from transformers import GenerationConfig

    if not (folder / "generation_config.json").is_file():
        return None
    settings: GenerationConfig = GenerationConfig.from_pretrained(folder, local_files_only=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            settings.validate()
    except (ValueError, Warning):
        ids = special_ids(settings)
        return GenerationConfig(
            **ids | {"pad_token_id": None if (ids["pad_token_id"] or 0) < 0 else ids["pad_token_id"]}
        )
    return settings


def load_huggingface(folder: Path, keep_dtype: bool = False) -> "PreTrainedModel":
    """Return the model in a Hugging Face folder, in evaluation mode.

    Args:
        folder: the folder.
        keep_dtype: keep the type of the weights; otherwise they are converted to 32-bit floats.

    Raises:
        UnusableModel: see ``checked_config``.
    """
    config, kind = checked_config(folder), family_of(folder).model_class()
    dtype = (dtype_of(config) if keep_dtype else None) or torch.float32
    model: PreTrainedModel = kind.from_pretrained(
        folder, config=config, local_files_only=True, use_safetensors=True, **{DTYPE: dtype}
    )
    return model.eval()


def load_weights(model: "PreTrainedModel", weights: Mapping[str, torch.Tensor]) -> None:
    """Copy a state dict into a model; tied weights occur once.

    Raises:
        KeyError: a weight is missing or unknown.
        RuntimeError: a weight has another shape.
    """
    tied = set(model._tied_weights_keys or ()) if model.config.tie_word_embeddings else set()
    missing, unknown = model.load_state_dict(weights, strict=False)
    for name in sorted(set(missing) - tied | set(unknown)):
        raise KeyError(f"{name} is {'missing' if name in missing else 'unknown'}")
