"""LoRA adapters in the layout of the library PEFT, whoever trained them, and their merge into a model.

An adapter adds ``alpha / dim * B @ A`` to the weights [out, in] of a linear layer, with A [dim, in] and B [out, dim]
(Hu et al., LoRA, arXiv 2106.09685). The folder has adapter_config.json and adapter_model.safetensors; names are those
of the Hugging Face model.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from tapeout.guard.safetensors import read_header
from tapeout.models.changed_model import ChangedWeights, empty_model, write_model
from tapeout.models.family import family_of
from tapeout.models.huggingface import checked_config, write_tokenizer
from tapeout.models.tokenizer_file import UnusableModel, tokenizer_path
from tapeout.models.weights_folder import FolderWeights

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
"""Beginning of PEFT's names."""
ENDS = (".lora_A.weight", ".lora_B.weight")
FIX = "Build it again, or write it with tapeout.models.adapter.write_adapter."


@dataclass(frozen=True)
class Adapter:
    """Low-rank changes of a model's linear layers.

    Attributes:
        dim: rank of a change.
        alpha: a change is multiplied by ``alpha / dim``.
        pairs: A [dim, in] and B [out, dim] of each layer, by its name in the Hugging Face model.
    """

    dim: int
    alpha: int
    pairs: Mapping[str, tuple[Tensor, Tensor]]

    def change(self, layer: str) -> Tensor:
        """Return what is added to the weights of a layer, [out, in], in 32 bits."""
        a, b = self.pairs[layer]
        return self.alpha / self.dim * (b.float() @ a.float())


def write_adapter(adapter: Adapter, base: Path, output: Path) -> None:
    """Write an adapter into an existing folder; the same adapter gives the same bytes.

    Args:
        adapter: the adapter.
        base: Hugging Face folder of its model.
        output: the folder.

    Raises:
        UnusableModel: the adapter does not fit the model.
    """
    check_adapter(adapter, base)
    tensors = {
        f"{PREFIX}{layer}{end}": tensor.contiguous()
        for layer, pair in sorted(adapter.pairs.items())
        for end, tensor in zip(ENDS, pair, strict=True)
    }
    settings = _settings(adapter.dim, adapter.alpha, _targets(adapter, base))
    (output / CONFIG).write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    (output / WEIGHTS).write_bytes(save(tensors, {"format": "pt"}))


def read_adapter(folder: Path, base: Path) -> Adapter:
    """Return the adapter in a folder.

    Args:
        folder: folder of the adapter.
        base: Hugging Face folder of its model.

    Raises:
        UnusableModel: it is damaged, does not fit the model, or has settings with another meaning than those that
            ``write_adapter`` writes.
    """
    read_header(folder / WEIGHTS)
    try:
        settings = json.loads((folder / CONFIG).read_bytes())
        dim, alpha, targets = settings["r"], settings["lora_alpha"], settings["target_modules"]
        unknown = settings != _settings(dim, alpha, targets)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnusableModel(f"{folder / CONFIG} cannot be read: {error}.", FIX) from error
    if unknown:
        raise UnusableModel(f"{folder / CONFIG} has settings that are not carried through.", FIX)
    pairs: dict[str, tuple[Tensor, Tensor]] = {}
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        names = set(file.keys())
        for layer in sorted({name.removeprefix(PREFIX).rsplit(".", 2)[0] for name in names}):
            both = [f"{PREFIX}{layer}{end}" for end in ENDS]
            if not names >= set(both):
                raise UnusableModel(f"{folder / WEIGHTS} has no {both[0]} or no {both[1]}.", FIX)
            names -= set(both)
            pairs[layer] = (file.get_tensor(both[0]), file.get_tensor(both[1]))
    if names:
        raise UnusableModel(f"{folder / WEIGHTS} has an unknown tensor, {min(names)}.", FIX)
    adapter = Adapter(dim, alpha, pairs)
    check_adapter(adapter, base)
    if targets != _targets(adapter, base):
        raise UnusableModel(f"{folder / CONFIG} names other layers than {WEIGHTS} has.", FIX)
    return adapter


def check_adapter(adapter: Adapter, base: Path) -> None:
    """Check that the shapes of an adapter are those of its model.

    Raises:
        UnusableModel: they are not, or there is no layer.
    """
    if not adapter.pairs:
        raise UnusableModel("The adapter changes no layer.", "Name layers of the model in target_modules.")
    shapes = _linear_layers(base)
    for layer, (a, b) in adapter.pairs.items():
        found = (*b.shape, *a.shape)
        if layer not in shapes or found != (shapes[layer][0], adapter.dim, adapter.dim, shapes[layer][1]):
            raise UnusableModel(
                f"The adapter of {layer} has the shapes {tuple(a.shape)} and {tuple(b.shape)}, which do not fit the "
                f"model in {base}.",
                "Use the model that it was trained on.",
            )


def merge_adapter(base: Path, folder: Path, output: Path) -> None:
    """Write a Hugging Face folder with the tokenizer of the model, whose weights include the adapter.

    Sums are computed in 32 bits and rounded to the type of the model's weights. One tensor at a time is in memory.

    Raises:
        UnusableModel: see ``read_adapter``.
    """
    family, config, weights = family_of(base), checked_config(base), FolderWeights(base)
    merged = _Merged(weights, read_adapter(folder, base))
    model = empty_model(family.model_class(), config)
    write_model(model, ChangedWeights(weights, merged, set(weights)), base, output)
    write_tokenizer(family, tokenizer_path(base), config.max_position_embeddings, output)


class _Merged(Mapping[str, Tensor]):
    """Weights of the layers that an adapter changes, computed when they are read."""

    def __init__(self, weights: Mapping[str, Tensor], adapter: Adapter) -> None:
        self.weights, self.adapter = weights, adapter

    def __getitem__(self, name: str) -> Tensor:
        """Return the weights of a layer, plus the change."""
        before = self.weights[name]
        return (before.float() + self.adapter.change(name.removesuffix(".weight"))).to(before.dtype)

    def __contains__(self, name: object) -> bool:
        """Return whether a tensor is changed, without computing it."""
        return isinstance(name, str) and name.removesuffix(".weight") in self.adapter.pairs

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the tensors."""
        return (f"{layer}.weight" for layer in self.adapter.pairs)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self.adapter.pairs)


def _linear_layers(base: Path) -> dict[str, torch.Size]:
    """Return the shape [out, in] of the weights of each linear layer of a model, by the layer's name."""
    model = empty_model(family_of(base).model_class(), checked_config(base))
    return {name: module.weight.shape for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}


def _targets(adapter: Adapter, base: Path) -> list[str]:
    """Return PEFT's names of the layers: last parts if these mean no other layer of the model, else whole names."""
    last = {layer.rpartition(".")[2] for layer in adapter.pairs}
    meant = {layer for layer in _linear_layers(base) if layer.rpartition(".")[2] in last}
    return sorted(last if meant == set(adapter.pairs) else adapter.pairs)


def _settings(dim: int, alpha: int, targets: list[str]) -> dict[str, Any]:
    """Return the content of adapter_config.json; PEFT's defaults for everything else leave the result as it is."""
    return {
        "base_model_name_or_path": None,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": dim,
        "target_modules": targets,
        "task_type": "CAUSAL_LM",
    }
