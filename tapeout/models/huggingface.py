"""Model folders in Hugging Face layout: create, save and load."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from tapeout.config.base import Base
from tapeout.encoder.load import load_encoder
from tapeout.models.family import Family, family_of, load_family

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def new_model(job: Base, tokenizer: Path) -> "PreTrainedModel":
    """Return a model of the family ``job.family`` with initial weights drawn from the seed."""
    encoder = load_encoder(tokenizer)
    family = load_family(job.family)
    torch.manual_seed(job.seed)
    config = family.huggingface_config(job.architecture, encoder.size, encoder.bos, encoder.eos)
    return family.model_class()(config)


def save_model(model: "PreTrainedModel", family: Family, tokenizer: Path, output: Path) -> None:
    """Write model and tokenizer into the new folder ``output``; the same model gives the same bytes."""
    model.config._name_or_path = ""
    model.save_pretrained(output, safe_serialization=True)
    shutil.copyfile(tokenizer, output / "tokenizer.model")
    settings = {
        **family.tokenizer_config(),
        "model_max_length": model.config.max_position_embeddings,
        "sp_model_kwargs": {},
    }
    (output / "model.safetensors").chmod(0o644)
    (output / "tokenizer_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def load_huggingface(folder: Path) -> "PreTrainedModel":
    """Return the model in a Hugging Face folder, in 32-bit floats and in evaluation mode.

    Raises:
        UnusableModel: its config.json names no family that may be loaded here.
    """
    kind = family_of(folder).model_class()
    model: PreTrainedModel = kind.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True)
    return model.eval()
