"""Write a Hugging Face folder that has the weights of another one, some of them changed."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tapeout.models.config_fields import DTYPE
from tapeout.models.huggingface import generation_of
from tapeout.models.weights_writer import MAX_SHARD_BYTES, Weight, write_weights

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


class ChangedWeights(Mapping[str, Weight]):
    """Weights of a folder, of which some are replaced."""

    def __init__(self, weights: Mapping[str, Tensor], changed: Mapping[str, Weight], names: set[str]) -> None:
        """Replace ``changed``, which may compute a tensor when it is read, in the tensors ``names`` of a folder."""
        self.weights, self.changed, self.names = weights, changed, names

    def __getitem__(self, name: str) -> Weight:
        """Return a replaced tensor, or read another one."""
        return self.changed[name] if name in self.changed else self.weights[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all tensors."""
        return iter(sorted(self.names))

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self.names)


def empty_model(kind: "type[PreTrainedModel]", config: "PretrainedConfig") -> "PreTrainedModel":
    """Return a model whose weights have shapes but no memory."""
    with torch.device("meta"):
        return kind(config)


def write_model(
    model: "PreTrainedModel",
    weights: Mapping[str, Weight],
    source: Path,
    output: Path,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write the settings of generation of the source, and configuration and weights, as ``save_pretrained`` does."""
    dtype = weights[next(iter(weights))].dtype
    model.config.update({DTYPE: dtype, "architectures": [type(model).__name__], "_name_or_path": ""})
    model.config._attn_implementation_autoset = False
    generation = generation_of(source) or model.generation_config
    output.mkdir(parents=True)
    model.config.save_pretrained(output)
    generation.save_pretrained(output)
    empty = {name: tensor.to(dtype) for name, tensor in model.state_dict().items() if name in set(weights)}
    write_weights(output, empty, weights, max_shard_bytes)
