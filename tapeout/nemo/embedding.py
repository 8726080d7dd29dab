"""Read the input embedding of a model without its other weights."""

from pathlib import Path

import torch
from torch.distributed.checkpoint import load

from tapeout.guard.weights import open_weights
from tapeout.models.family import family_of
from tapeout.models.huggingface import checked_config
from tapeout.models.layout import EMBEDDING
from tapeout.models.weights_folder import FolderWeights
from tapeout.nemo.checkpoint import PREFIX


def embedding_rows(folder: Path) -> torch.Tensor:
    """Return the rows [v, d] of the embedding of a Hugging Face folder or of a NeMo-2 checkpoint, in their type.

    Raises:
        UnusableModel: the folder is neither, or is damaged.
    """
    if (folder / "config.json").is_file():
        parts = family_of(folder).parts(checked_config(folder))
        name = next(part.sources[0] for part in parts if part.megatron == EMBEDDING)
        return FolderWeights(folder)[name]
    reader, name = open_weights(folder / "weights"), PREFIX + EMBEDDING
    entry = reader.read_metadata().state_dict_metadata[name]
    tensors = {name: torch.empty(entry.size, dtype=entry.properties.dtype)}
    load(tensors, storage_reader=reader, no_dist=True)
    return tensors[name]
