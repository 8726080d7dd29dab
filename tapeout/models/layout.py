"""Correspondence between the weights of Hugging Face and of Megatron, one table for both directions.

A family describes a model as a list of parts. Each part is one Megatron tensor, of one layer or of the whole model,
with the Hugging Face tensors that it is made of. Reading, writing, streaming and comparing all use this list, so that a
conversion and its inverse cannot disagree. A part is small: a conversion has to hold one of them at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

EMBEDDING = "embedding.word_embeddings.weight"
"""Megatron's name of the input embedding."""


@dataclass(frozen=True)
class Part:
    """A Megatron tensor and the Hugging Face tensors that it is made of.

    Attributes:
        megatron: Megatron's name in a distributed checkpoint, without the prefix ``module.``. The name of a layer's
            tensor contains no number, because a checkpoint stacks the tensors of all layers under one name.
        layer: number of the layer, from 0; None for a tensor outside of the layers.
        sources: Hugging Face names, in the order in which ``join`` takes and ``split`` returns their tensors.
        join: makes the Megatron tensor from those of the sources.
        split: inverse of ``join``; the results may be views.
    """

    megatron: str
    layer: int | None
    sources: tuple[str, ...]
    join: "Callable[[Sequence[Tensor]], Tensor]"
    split: "Callable[[Tensor], Sequence[Tensor]]"


def renamed(megatron: str, layer: int | None, source: str) -> Part:
    """Return a part that is one tensor with another name."""
    return Part(megatron, layer, (source,), lambda tensors: tensors[0], lambda tensor: (tensor,))


def concatenated(megatron: str, layer: int | None, sources: Sequence[str]) -> Part:
    """Return a part with the rows of all sources one after another; all have the same number of rows."""
    return Part(megatron, layer, tuple(sources), _concatenate, lambda tensor: tensor.chunk(len(sources)))


def interleaved(megatron: str, layer: int | None, sources: Sequence[str], heads: int, groups: int) -> Part:
    """Return a fused projection of queries, keys and values: weights [rows, width], or biases [rows].

    Megatron orders the rows by query group. Each group has the rows of its query heads, of its key head and of its
    value head, [q..q, k, v], all heads being equally wide.

    Args:
        megatron: see ``Part``.
        layer: see ``Part``.
        sources: names of queries, keys and values, in this order.
        heads: number of query heads.
        groups: number of key and value heads.
    """
    shares = (heads // groups, 1, 1)

    def join(tensors: "Sequence[Tensor]") -> "Tensor":
        size = len(tensors[0]) // heads
        by_group = [
            tensor.reshape(groups, share, size, *tensor.shape[1:])
            for tensor, share in zip(tensors, shares, strict=True)
        ]
        return _concatenate(by_group, 1).flatten(0, 2)

    def split(tensor: "Tensor") -> "Sequence[Tensor]":
        by_group = tensor.unflatten(0, (groups, sum(shares), -1))
        return [rows.flatten(0, 2) for rows in by_group.split(shares, 1)]

    return Part(megatron, layer, tuple(sources), join, split)


def _concatenate(tensors: "Sequence[Tensor]", dimension: int = 0) -> "Tensor":
    import torch

    return torch.cat(list(tensors), dimension)


def megatron_tensors(parts: Iterable[Part], weights: "Callable[[str], Tensor]") -> "Iterator[tuple[Part, Tensor]]":
    """Yield each part with its Megatron tensor, one at a time.

    Args:
        parts: the model's parts.
        weights: returns a Hugging Face tensor by its name.
    """
    for part in parts:
        yield part, part.join([weights(name) for name in part.sources])


def huggingface_tensors(parts: Iterable[Part], tensors: "Callable[[Part], Tensor]") -> "Iterator[tuple[str, Tensor]]":
    """Yield the Hugging Face name and tensor of every source, one part at a time.

    Args:
        parts: the model's parts.
        tensors: returns the Megatron tensor of a part.
    """
    for part in parts:
        yield from zip(part.sources, part.split(tensors(part)), strict=True)


def weights_to_megatron(parts: Sequence[Part], weights: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return the tensors of a distributed checkpoint, those of layers stacked along the first dimension.

    Args:
        parts: the model's parts.
        weights: a Hugging Face state dict.

    Raises:
        KeyError: a source is missing, or a weight belongs to no part.
    """
    import torch

    _check_names({name for part in parts for name in part.sources}, weights)
    tensors: dict[str, Tensor] = {}
    layers: dict[str, list[Tensor]] = {}
    for part, tensor in megatron_tensors(parts, weights.__getitem__):
        if part.layer is None:
            tensors[part.megatron] = tensor
        else:
            layers.setdefault(part.megatron, []).append(tensor)
    return tensors | {name: torch.stack(stack) for name, stack in layers.items()}


def weights_from_megatron(parts: Sequence[Part], tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Return a Hugging Face state dict from the tensors of a distributed checkpoint.

    Raises:
        KeyError: a tensor is missing, or belongs to no part.
    """
    _check_names({part.megatron for part in parts}, tensors)

    def tensor_of(part: Part) -> "Tensor":
        tensor = tensors[part.megatron]
        return tensor if part.layer is None else tensor[part.layer]

    return dict(huggingface_tensors(parts, tensor_of))


def _check_names(expected: set[str], tensors: "Mapping[str, Tensor]") -> None:
    for name in sorted(expected ^ tensors.keys()):
        raise KeyError(f"{name} is {'missing' if name in expected else 'unknown'}")
