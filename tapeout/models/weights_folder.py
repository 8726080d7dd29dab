"""Weights of a Hugging Face folder, read one tensor at a time from one or several safetensors files.

A model of 70 billion weights has 140 GB in some 30 files. No more than one tensor of them is in memory: the files are
mapped, and a file stays mapped only while a tensor of it is in use.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import safe_open
from torch import Tensor

from tapeout.guard import saved
from tapeout.guard.errors import UnusableModel
from tapeout.guard.safetensors import read_header

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
RECOMPUTED = ".rotary_emb.inv_freq"
"""End of the names of tensors that old versions of transformers saved, and that follow from the configuration."""


class Entry(NamedTuple):
    """Where a tensor is, and what it is."""

    file: Path
    tensor: saved.Tensor


class FolderWeights(Mapping[str, Tensor]):
    """Hugging Face state dict of a folder; a look-up reads the tensor.

    Args:
        folder: folder with ``model.safetensors``, or with several files and their ``model.safetensors.index.json``.

    Raises:
        UnusableModel: there are no weights, the index is missing or wrong, or a file is damaged, missing, or has other
            tensors than the index says.
    """

    def __init__(self, folder: Path) -> None:
        self.entries: dict[str, Entry] = {}
        promised = _index(folder)
        for file in sorted(set(promised.values())) if promised else [WHOLE]:
            for name, tensor in read_header(folder / file)[0].items():
                if name in self.entries:
                    raise _wrong(folder, f"{name} is in {self.entries[name].file.name} and in {file}")
                if promised and promised.get(name) != file:
                    raise _wrong(folder, f"{name} is in {file}, but not according to {INDEX}")
                self.entries[name] = Entry(folder / file, tensor)
        missing = sorted(promised.keys() - self.entries.keys())
        if missing:
            raise _wrong(folder, f"{missing[0]} is not in {promised[missing[0]]}, as {INDEX} says")
        self.entries = {name: entry for name, entry in self.entries.items() if not name.endswith(RECOMPUTED)}

    def __getitem__(self, name: str) -> Tensor:
        """Read a tensor; it is mapped, so that its pages can be dropped when memory is scarce."""
        with safe_open(self.entries[name].file, framework="pt") as file:
            tensor: Tensor = file.get_tensor(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all tensors."""
        return iter(self.entries)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self.entries)


def _index(folder: Path) -> dict[str, str]:
    """Return the file of each tensor by the index; nothing if there is a single file."""
    names = sorted(path.name for path in folder.glob("*.safetensors"))
    if not (folder / INDEX).is_file():
        if WHOLE in names:
            return {}
        if names:
            raise _wrong(folder, f"there are {len(names)} safetensors files, but no {INDEX}")
        raise UnusableModel(
            f"There is no {WHOLE} in {folder}.",
            "Save the model with safetensors; pickled weights (.bin, .pt) are not read, because they can run programs.",
        )
    if WHOLE in names:
        raise _wrong(folder, f"there is both {WHOLE} and {INDEX}")
    try:
        content: Any = json.loads((folder / INDEX).read_bytes())
        promised: dict[str, str] = dict(content["weight_map"])
    except (ValueError, KeyError, TypeError) as error:
        raise _wrong(folder, f"{INDEX} has no weight_map ({error})") from error
    for name, file in promised.items():
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".safetensors"):
            raise _wrong(folder, f"{INDEX} names {file!r} as the file of {name}")
        if file not in names:
            raise _wrong(folder, f"{file} is missing, in which {INDEX} says that {name} is")
    if not promised:
        raise _wrong(folder, f"{INDEX} names no tensor")
    return promised


def _wrong(folder: Path, cause: str) -> UnusableModel:
    return UnusableModel(f"The weights in {folder} are incomplete or ambiguous: {cause}.", "Fetch or save them again.")
