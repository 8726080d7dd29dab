"""Weights of a model of NeMo by Megatron's names, one tensor at a time, read through ``tapeout.guard``."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from tapeout.guard.errors import UnusableModel
from tapeout.guard.saved import load_bytes, load_saved
from tapeout.guard.weights import Entry, read_index
from tapeout.models.layout import Part

EMBEDDING, LAYERS = "embedding.word_embeddings.weight", "decoder.layers."
OLD = {
    "embedding.word_embeddings.weight": "embedding.word_embeddings.weight",
    "output_layer.weight": "output_layer.weight",
    "decoder.final_layernorm.": "encoder.final_layernorm.",
    "self_attention.linear_qkv.layer_norm_": "input_layernorm.",
    "self_attention.linear_qkv.": "self_attention.query_key_value.",
    "self_attention.linear_proj.": "self_attention.dense.",
    "mlp.linear_fc1.layer_norm_": "post_attention_layernorm.",
    "mlp.linear_fc1.": "mlp.dense_h_to_4h.",
    "mlp.linear_fc2.": "mlp.dense_4h_to_h.",
}
"""Name of a tensor before Megatron-core, by Megatron-core's; the first that fits applies."""
IGNORED = re.compile(r".*(\._extra_state|\.rotary_pos_emb\.inv_freq)")
"""Entries that are not weights."""


class ForeignWeights(ABC):
    """Weights of a model of NeMo.

    Attributes:
        dtype: type of all weights.
        rows: rows of the embedding.
    """

    dtype: torch.dtype
    rows: int

    @abstractmethod
    def tensor(self, part: Part) -> Tensor:
        """Return the Megatron tensor of a part.

        Raises:
            UnusableModel: the model does not have it.
        """

    @abstractmethod
    def names(self, part: Part) -> list[str]:
        """Return the names of the stored tensors that the Megatron tensor of a part is made of."""

    @abstractmethod
    def stored(self) -> set[str]:
        """Return the names of all stored tensors."""

    def check_names(self, parts: Sequence[Part]) -> None:
        """Check that a model has exactly the tensors of its family.

        Raises:
            UnusableModel: names the first tensor that is missing or unknown.
        """
        needed, stored = {name for part in parts for name in self.names(part)}, self.stored()
        for name in sorted(needed ^ stored):
            raise UnusableModel(
                f"The model {'has the unknown' if name in stored else 'lacks the'} tensor {name}.",
                "Fetch it again, or name its family (base.family).",
            )


class DistributedWeights(ForeignWeights):
    """Weights of a distributed checkpoint; its parts may have been written by any number of ranks.

    Args:
        folder: the folder with ``.metadata``.
        prefix: beginning of the names of weights.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder, self.prefix = folder, prefix
        self.entries: Mapping[str, Entry] = {
            name.removeprefix(prefix): entry
            for name, entry in read_index(folder).items()
            if name.startswith(prefix) and entry.tensor is not None
        }
        self.dtype = _one({getattr(torch, entry.tensor.dtype) for entry in self.entries.values() if entry.tensor})
        embedding = self.entries.get(EMBEDDING)
        self.rows = embedding.tensor.shape[0] if embedding and embedding.tensor else 0

    def names(self, part: Part) -> list[str]:
        """Return the one name of a part."""
        return [part.megatron]

    def stored(self) -> set[str]:
        """Return the names of all stored tensors."""
        return set(self.entries)

    def tensor(self, part: Part) -> Tensor:
        """Return the Megatron tensor of a part, from as many pieces as it was cut into."""
        entry = self.entries[part.megatron]
        assert entry.tensor is not None
        stacked = part.layer is not None
        shape = entry.tensor.shape[stacked:]
        whole = torch.empty(shape, dtype=self.dtype)
        filled = 0
        for piece in entry.parts:
            start = piece.start or (0,) * len(entry.tensor.shape)
            with open(self.folder / piece.file, "rb") as file:
                if stacked and start[0] > (part.layer or 0):
                    continue
                file.seek(piece.offset)
                content: Tensor = load_bytes(file.read(piece.length), part.megatron)
            if stacked:
                row = (part.layer or 0) - start[0]
                if row >= len(content):
                    continue
                content = content[row]
            target = whole
            for dimension, (first, size) in enumerate(zip(start[stacked:], content.shape, strict=True)):
                target = target.narrow(dimension, first, size)
            target.copy_(content)
            filled += content.numel()
        if filled != whole.numel():
            raise UnusableModel(f"The model lacks a part of the tensor {part.megatron}.", "Fetch it again.")
        return whole


class OldWeights(ForeignWeights):
    """Weights of a model of before Megatron-core, in one file of ``torch.save``, which is mapped into memory.

    Args:
        path: the file.
        activation: of the model; the first matrix of ``swiglu`` is in two parts.
    """

    def __init__(self, path: Path, activation: str) -> None:
        content = load_saved(path, mmap=True)
        prefix = "model.language_model."
        tensors = {
            name.replace("model.module.", "model.", 1).removeprefix(prefix): value
            for name, value in content.items()
            if not IGNORED.fullmatch(name)
        }
        strange = [
            name for name, value in tensors.items() if not isinstance(value, Tensor) or name.startswith("model.")
        ]
        if strange:
            raise UnusableModel(f"The archive has the unknown weight {min(strange)}.", "Use another model.")
        self.tensors: dict[str, Tensor] = tensors
        self.split = activation == "swiglu"
        self.dtype = _one({tensor.dtype for tensor in tensors.values()})
        self.rows = len(tensors.get(EMBEDDING, ()))

    def names(self, part: Part) -> list[str]:
        """Return one name, or two for the first matrix of ``swiglu``."""
        name = old_name(part)
        second = self.split and ".mlp.dense_h_to_4h." in name
        return [name, *([name.replace("dense_h_to_4h", "dense_h_to_4h_2")] if second else [])]

    def stored(self) -> set[str]:
        """Return the names of all stored tensors."""
        return set(self.tensors)

    def tensor(self, part: Part) -> Tensor:
        """Return the Megatron tensor of a part."""
        return torch.cat([self.tensors[name] for name in self.names(part)])


def old_name(part: Part) -> str:
    """Return the name of a part's tensor before Megatron-core, without the prefix ``model.language_model.``."""
    name = part.megatron.removeprefix(LAYERS)
    old = next(old + name.removeprefix(new) for new, old in OLD.items() if name.startswith(new))
    return old if part.layer is None else f"encoder.layers.{part.layer}.{old}"


def _one(dtypes: set[torch.dtype]) -> torch.dtype:
    if len(dtypes) != 1 or not next(iter(dtypes)).is_floating_point:
        raise UnusableModel(
            f"The weights have the types {', '.join(sorted(map(str, dtypes))) or 'of nothing'}.",
            "Use a model with one type of numbers.",
        )
    return next(iter(dtypes))
