"""Read NeMo-2 checkpoint folders without importing NeMo, in one or two seconds.

The weights are a plain PyTorch distributed checkpoint; only names and layouts differ from those of Hugging Face, and
the model family knows both. Tests compare every bit with NeMo's own exporter.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import ValidationError
from torch.distributed.checkpoint import FileSystemReader, load
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from tapeout.encoder.load import load_encoder
from tapeout.models.carried import IDS
from tapeout.models.family import family_of, nemo_arguments
from tapeout.models.huggingface import load_huggingface
from tapeout.models.layout import weights_from_megatron
from tapeout.models.tokenizer_file import UnusableModel, tokenizer_path

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

GENERATION = "context/artifacts/generation_config.json"
"""Settings of generation in a checkpoint, with all special ids."""


def load_model(folder: Path) -> "PreTrainedModel":
    """Return the model in a Hugging Face folder or a NeMo-2 checkpoint folder, in 32-bit floats, in evaluation mode.

    The family follows from config.json or from the checkpoint's context.

    Raises:
        UnusableModel: the folder is neither, is of a family that may not be loaded here, or its tensors do not fit
            its configuration.
    """
    if (folder / "config.json").is_file():
        return load_huggingface(folder)
    family = family_of(folder)
    config = checkpoint_config(folder)
    model = family.model_class()(config)
    try:
        model.load_state_dict(weights_from_megatron(family.parts(config), checkpoint_tensors(folder)))
    except (KeyError, RuntimeError) as error:
        raise UnusableModel(
            f"The weights in {folder} do not fit its configuration: {error}.", "Build it again."
        ) from error
    return model.eval()


def checkpoint_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Return all tensors of a NeMo-2 checkpoint by Megatron's names, without the prefix ``module.``."""
    reader = FileSystemReader(folder / "weights")
    tensors = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in sorted(reader.read_metadata().state_dict_metadata.items())
        if isinstance(entry, TensorStorageMetadata) and name.startswith("module.")
    }
    load(tensors, storage_reader=reader, no_dist=True)
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def checkpoint_config(folder: Path) -> "PretrainedConfig":
    """Return the Hugging Face configuration of a NeMo-2 checkpoint, from its context.

    The special ids are those of the settings of generation that an import keeps, otherwise those of the tokenizer.

    Raises:
        UnusableModel: the context does not state the dimensions of the model.
    """
    family = family_of(folder)
    recorded = nemo_arguments(folder)
    arguments = next(recorded[name] for name in family.NEMO_CONFIGS if name in recorded)
    encoder = load_encoder(tokenizer_path(folder))
    ids = {"bos_token_id": encoder.bos, "eos_token_id": encoder.eos, "pad_token_id": None}
    generation = folder / GENERATION
    if generation.is_file():
        stated = json.loads(generation.read_bytes())
        ids |= {name: stated[name] for name in IDS if stated.get(name) is not None}
    try:
        architecture = family.architecture_from_nemo(arguments)
        vocabulary = arguments["vocab_size"]
    except (KeyError, ValidationError) as error:
        raise UnusableModel(
            f"The context of {folder} does not describe the model: {error}.", "Import the model again."
        ) from error
    return family.huggingface_config(architecture, vocabulary, **ids)


def checkpoint_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a NeMo-2 checkpoint as a Hugging Face state dict."""
    return weights_from_megatron(family_of(folder).parts(checkpoint_config(folder)), checkpoint_tensors(folder))
