"""Read NeMo-2 checkpoint folders without importing NeMo, in one or two seconds.

The weights are a plain PyTorch distributed checkpoint; only names and layouts differ from those of Hugging Face, and
the model family knows both. Tests compare every bit with NeMo's own exporter.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import ValidationError
from torch.distributed.checkpoint import load
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from tapeout.encoder.load import load_encoder
from tapeout.guard.errors import UnusableModel
from tapeout.guard.weights import INDEX, load_tensor, open_weights, read_metadata
from tapeout.models.carried import IDS
from tapeout.models.family import family_of, nemo_arguments
from tapeout.models.huggingface import load_huggingface, load_weights
from tapeout.models.layout import Part, weights_from_megatron
from tapeout.models.tokenizer_file import tokenizer_path

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

GENERATION = "context/artifacts/generation_config.json"
"""Settings of generation in a checkpoint, with all special ids."""
PREFIX = "module."
"""Beginning of the names of all weights in a checkpoint, which distinguishes them from the optimizer's state."""


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
        load_weights(model, weights_from_megatron(family.parts(config), checkpoint_tensors(folder)))
    except (KeyError, RuntimeError) as error:
        raise UnusableModel(
            f"The weights in {folder} do not fit its configuration: {error}.", "Build it again."
        ) from error
    return model.eval()


def checkpoint_tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Return all tensors of a NeMo-2 checkpoint by Megatron's names, without the prefix ``module.``."""
    reader = open_weights(folder / "weights")
    tensors = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in sorted(reader.read_metadata().state_dict_metadata.items())
        if isinstance(entry, TensorStorageMetadata) and name.startswith(PREFIX)
    }
    load(tensors, storage_reader=reader, no_dist=True)
    return {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}


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


class CheckpointWeights(Mapping[str, torch.Tensor]):
    """Hugging Face state dict of a NeMo-2 checkpoint; a look-up reads the one Megatron tensor that it is a part of.

    Iterate in the given order: then each tensor of Megatron is read once.

    Args:
        folder: the checkpoint folder, written by any number of ranks.

    Raises:
        UnusableModel: the checkpoint lacks a tensor of its family, or has an additional one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "weights"
        parts = family_of(folder).parts(checkpoint_config(folder))
        self.metadata = read_metadata(self.folder / INDEX)
        stored = {
            name.removeprefix(PREFIX): entry
            for name, entry in self.metadata.state_dict_metadata.items()
            if isinstance(entry, TensorStorageMetadata) and name.startswith(PREFIX)
        }
        for name in sorted(stored.keys() ^ {part.megatron for part in parts}):
            raise UnusableModel(
                f"The checkpoint {folder} {'has the unknown' if name in stored else 'lacks the'} tensor {name}.",
                "Build it again, or use the family that it was made for.",
            )
        self.parts = {name: part for part in parts for name in part.sources}
        self.stored = stored
        self.chunks: dict[str, list[tuple[tuple[int, ...], Any]]] = {}
        for index, place in self.metadata.storage_data.items():
            self.chunks.setdefault(index.fqn, []).append((tuple(index.offset or ()), place))
        self.last: tuple[Part, dict[str, torch.Tensor]] | None = None

    def __getitem__(self, name: str) -> torch.Tensor:
        """Read a tensor; it may be a view."""
        part = self.parts[name]
        if self.last is None or self.last[0] is not part:
            self.last = None  # free it before the next one is read
            self.last = part, dict(zip(part.sources, part.split(self._read(part)), strict=True))
        return self.last[1][name]

    @property
    def dtype(self) -> torch.dtype:
        """Type of the tensors."""
        return next(iter(self.stored.values())).properties.dtype

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all tensors, those of one Megatron tensor after another."""
        return iter(self.parts)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self.parts)

    def _read(self, part: Part) -> torch.Tensor:
        """Return the tensor of a part, from as many chunks as it was cut into."""
        name, stacked = PREFIX + part.megatron, part.layer is not None
        entry = self.stored[part.megatron]
        size = tuple(entry.size)[stacked:]
        whole, found = None, 0
        for offset, place in self.chunks.get(name, ()):
            if stacked and offset[0] != part.layer:
                continue
            chunk = self._chunk(place)
            chunk = chunk[0] if stacked else chunk
            if chunk.shape == size:
                return chunk
            if whole is None:
                whole = torch.empty(size, dtype=entry.properties.dtype)
            target = whole
            for dimension, (start, length) in enumerate(zip(offset[stacked:], chunk.shape, strict=True)):
                target = target.narrow(dimension, start, length)
            target.copy_(chunk)
            found += chunk.numel()
        if whole is None or found < whole.numel():
            raise UnusableModel(f"The checkpoint {self.folder.parent} lacks a part of {name}.", "Build it again.")
        return whole

    def _chunk(self, place: Any) -> torch.Tensor:
        """Read one chunk from the part of a file in which it lies."""
        return load_tensor(self.folder / place.relative_path, place.offset, place.length)
