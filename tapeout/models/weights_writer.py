"""Write the weights of a Hugging Face folder one tensor at a time, with the bytes of ``save_pretrained``.

A safetensors file begins with the place of every tensor, which follows from shapes and types alone. The tensors can
therefore be written in any order, and none has to be kept.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

import torch
from huggingface_hub import split_state_dict_into_shards_factory
from torch import Tensor

from tapeout.guard.errors import UnusableModel
from tapeout.models.weights_folder import INDEX

MAX_SHARD_BYTES = 5 * 10**9
"""Size at which ``save_pretrained`` begins another file."""
TYPES = {
    **{torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.float16: "F16"},
    **{torch.bfloat16: "BF16", torch.int32: "I32", torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"},
}
"""Names of types in a safetensors file, in reverse of the order in which its tensors are sorted by type."""
ALIGNMENT = 8


class Stacked(NamedTuple):
    """A tensor given as parts along its first dimension, which are written one after another and never joined."""

    parts: Sequence[Tensor]

    @property
    def shape(self) -> torch.Size:
        """Shape of the whole."""
        return torch.Size((sum(map(len, self.parts)), *self.parts[0].shape[1:]))

    @property
    def dtype(self) -> torch.dtype:
        """Type of its numbers."""
        return self.parts[0].dtype


Weight: TypeAlias = Tensor | Stacked
"""A tensor to write."""


def write_weights(
    folder: Path, model: Mapping[str, Tensor], weights: Mapping[str, Weight], max_shard_bytes: int = MAX_SHARD_BYTES
) -> None:
    """Write ``model.safetensors``, or several files with their index if the model is large.

    Args:
        folder: an existing folder.
        model: the state dict without data (device ``meta``): order, shapes and types of the tensors.
        weights: the tensors; iterated in their own order, and each is read once.
        max_shard_bytes: maximum size of the tensors in a file; a single tensor may exceed it.

    Raises:
        UnusableModel: a tensor has another shape or type than the model's.
    """
    split = split_state_dict_into_shards_factory(
        {name: _bytes(tensor) for name, tensor in model.items()},
        get_storage_size=int,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=max_shard_bytes,
    )
    places: dict[str, tuple[BinaryIO, int]] = {}
    files: list[BinaryIO] = []
    try:
        for file, names in split.filename_to_tensors.items():
            files.append((folder / file).open("wb"))
            places |= {name: (files[-1], at) for name, at in _write_header(files[-1], names, model).items()}
        for name in weights:
            _write_tensor(*places[name], name, model[name], weights[name])
    finally:
        for opened in files:
            opened.close()
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _bytes(tensor: Tensor) -> int:
    return int(tensor.numel() * tensor.element_size())


def _write_header(file: BinaryIO, names: Sequence[str], model: Mapping[str, Tensor]) -> dict[str, int]:
    """Write the header of a file; return the offset in the file of each tensor."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    order = list(TYPES)
    offset, places = 0, {}
    for name in sorted(names, key=lambda name: (-order.index(model[name].dtype), name)):
        tensor, places[name] = model[name], offset
        offset += _bytes(tensor)
        header[name] = {
            "dtype": TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [places[name], offset],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    start = file.write(struct.pack("<Q", len(text)) + text)
    return {name: start + at for name, at in places.items()}


def _write_tensor(file: BinaryIO, offset: int, name: str, expected: Tensor, tensor: Weight) -> None:
    """Write the bytes of a tensor at an offset of a file."""
    if (tensor.shape, tensor.dtype) != (expected.shape, expected.dtype):
        raise UnusableModel(
            f"Tensor {name} has shape {tuple(tensor.shape)} in {tensor.dtype}, but the configuration implies "
            f"{tuple(expected.shape)} in {expected.dtype}.",
            "Build the checkpoint again.",
        )
    file.seek(offset)
    for part in tensor.parts if isinstance(tensor, Stacked) else [tensor]:
        file.write(memoryview(part.contiguous().view(-1).view(torch.uint8).numpy()))
