"""Program that compares the tensors of two checkpoints: ``python -m tapeout.compare.tensors OLD NEW``.

It runs in the environment ``nemo``, because it needs torch. It reads safetensors files, files of ``torch.save``, and
distributed checkpoints (a folder with ``.metadata`` and ``.distcp`` files), with one tensor of each checkpoint in
memory, and runs no code that a pickle names.

Output is one JSON line per difference with ``name`` and ``state``: ``added``, ``removed``, ``form`` (another type or
shape), ``changed``, or ``value`` for what is not a tensor. The last line has the number of ``equal`` ones; or
``unreadable``, the checkpoint (``old`` or ``new``) that cannot be read, and ``why``.
"""

import hashlib
import io
import json
import math
import pickle
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol
from zipfile import BadZipFile, ZipFile

import torch
from safetensors import SafetensorError, safe_open

from tapeout.compare import safe_pickle

BLOCK = 1 << 22
"""Elements compared at a time."""

INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integer types by size in bytes, to compare bits."""

READING = (
    *(pickle.UnpicklingError, EOFError, KeyError, IndexError, ValueError, TypeError, AttributeError, RuntimeError),
    *(AssertionError, OverflowError, MemoryError, struct.error, OSError, BadZipFile, SafetensorError),
)
"""Exceptions of damaged pickles, zip files and headers, collected by damaging thousands of files at random."""


class Damaged(Exception):
    """A checkpoint cannot be read, for the reason in the text."""


class Source(Protocol):
    """A checkpoint that is read one value at a time."""

    def names(self) -> list[str]:
        """Return all names, sorted."""

    def read(self, name: str) -> Any:
        """Return a tensor, or another value."""


class Safetensors:
    """A safetensors file, mapped into memory."""

    def __init__(self, path: Path) -> None:
        """Open the file."""
        self.file = safe_open(path, framework="pt")

    def names(self) -> list[str]:
        """Return the names of the tensors, and of the metadata."""
        return [*sorted(self.file.keys()), "__metadata__"]

    def read(self, name: str) -> Any:
        """Return a tensor, or the metadata."""
        return self.file.metadata() if name == "__metadata__" else self.file.get_tensor(name)


class Saved:
    """A file of ``torch.save``: all values by dotted name, tensors mapped into memory."""

    def __init__(self, path: Path) -> None:
        """Read the file; refuse TorchScript."""
        with ZipFile(path) as packed:
            if any(name.endswith("/constants.pkl") for name in packed.namelist()):
                raise Damaged("it is a TorchScript program, which is not read")
        self.leaves = dict(leaves(_load(str(path), mmap=True)))

    def names(self) -> list[str]:
        """Return the dotted names."""
        return sorted(self.leaves)

    def read(self, name: str) -> Any:
        """Return the value of a dotted name."""
        return self.leaves[name]


class Distributed:
    """A distributed checkpoint: an index, and files with parts of tensors, each in the format of ``torch.save``."""

    def __init__(self, folder: Path) -> None:
        """Read the index."""
        self.folder = folder
        index = safe_pickle.load((folder / ".metadata").read_bytes()).state
        self.kinds = {name: kind.state or {} for name, kind in index["state_dict_metadata"].items()}
        self.parts: dict[str, list[tuple[tuple[int, ...], dict[str, Any]]]] = {}
        for key, location in index["storage_data"].items():
            if location.state.get("transform_descriptors"):
                raise Damaged("it has a compression that is not supported")
            if Path(location.state["relative_path"]).name != location.state["relative_path"]:
                raise Damaged("it names a file outside its folder")
            self.parts.setdefault(key.state["fqn"], []).append((key.state.get("offset") or (), location.state))

    def names(self) -> list[str]:
        """Return the names in the index."""
        return sorted(self.kinds)

    def read(self, name: str) -> Any:
        """Return a tensor, put together from its parts, or the parts of another value."""
        if "size" not in self.kinds[name]:
            return [self._part(location) for _, location in self.parts[name]]
        whole, filled = torch.empty(0), 0
        for offset, location in self.parts[name]:
            part = self._part(location)
            whole = whole if filled else torch.empty(self.kinds[name]["size"], dtype=part.dtype)
            target = whole
            for dimension, start in enumerate(offset):
                target = target.narrow(dimension, start, part.shape[dimension])
            target.copy_(part)
            filled += part.numel()
        if filled != whole.numel():
            raise Damaged(f"a part of {name} is missing")
        return whole

    def _part(self, location: dict[str, Any]) -> Any:
        with open(self.folder / location["relative_path"], "rb") as file:
            file.seek(location["offset"])
            return _load(io.BytesIO(file.read(location["length"])))


def _load(file: str | io.BytesIO, mmap: bool = False) -> Any:
    """Load what ``torch.save`` wrote, with stubs for everything but tensors and plain containers."""
    unpickling = ModuleType("safe_pickle")
    vars(unpickling)["Unpickler"] = safe_pickle.unpickler(_torch)
    return torch.load(file, map_location="cpu", pickle_module=unpickling, weights_only=False, mmap=mmap)


def _torch(module: str, name: str) -> Any:
    """Return functions and types that only build a tensor; None for all others."""
    if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter"):
        return getattr(torch._utils, name)
    if module in ("torch", "torch.storage") and name == "UntypedStorage":
        return torch.UntypedStorage
    value = getattr(torch, name, None) if module == "torch" else None
    return value if isinstance(value, torch.dtype) else None


def leaves(value: Any, name: str = "", around: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the tensors in a nested value by dotted name, and everything else as JSON values."""
    if isinstance(value, safe_pickle.Stub):
        value = value.parts()
    if isinstance(value, set | frozenset):
        value = sorted(value, key=repr)
    if isinstance(value, dict):
        inner = {str(key): value[key] for key in sorted(value, key=str)}
    elif isinstance(value, list | tuple):
        inner = {str(index): item for index, item in enumerate(value)}
    else:
        yield name, value if isinstance(value, torch.Tensor) else _plain(value)
        return
    if not inner or id(value) in around:
        yield name, "empty" if not inner else "itself"
    for key, item in inner.items() if id(value) not in around else ():
        yield from leaves(item, f"{name}.{key}" if name else key, (*around, id(value)))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if (isinstance(value, int) and -(2**63) <= value < 2**64) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()}"
    return getattr(value, "what", None) or repr(value)


def differences(old: Source, new: Source, reading: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield the differences in the order of the names, and last the number of equal values.

    ``reading`` is called with ``old`` or ``new`` before that checkpoint is read, to attribute an error.
    """
    before, after = set(old.names()), set(new.names())
    equal = 0
    for name in sorted(before | after):
        reading("old")
        left = dict(leaves(old.read(name), name)) if name in before else {}
        reading("new")
        right = dict(leaves(new.read(name), name)) if name in after else {}
        for leaf in sorted(left.keys() | right.keys()):
            difference = _difference(leaf, left, right)
            equal += difference is None
            if difference is not None:
                yield {"name": leaf, **difference}
    yield {"equal": equal}


def _difference(name: str, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any] | None:
    if name not in old or name not in new:
        form = _form(old[name] if name in old else new[name])
        return {"state": "removed", "old": form} if name in old else {"state": "added", "new": form}
    left, right = old[name], new[name]
    if not (isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor)):
        same = type(left) is type(right) and repr(left) == repr(right)
        return None if same else {"state": "value", "old": _form(left), "new": _form(right)}
    if _form(left) != _form(right):
        return {"state": "form", "old": _form(left), "new": _form(right)}
    figures = _figures(left, right)
    return {"state": "changed", **_form(left), **figures} if figures["differing"] else None


def _form(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return {"type": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
    return value


def _figures(old: torch.Tensor, new: torch.Tensor) -> dict[str, Any]:
    """Return how many elements differ in their bits, by how much at most, and the largest magnitude."""
    if old.is_complex():
        old, new = torch.view_as_real(old.resolve_conj()), torch.view_as_real(new.resolve_conj())
    flat = old.contiguous().reshape(-1), new.contiguous().reshape(-1)
    differing, not_finite, max_absolute, largest = 0, 0, 0.0, 0.0
    for start in range(0, flat[0].numel(), BLOCK):
        blocks = [tensor[start : start + BLOCK] for tensor in flat]
        bits = [block.view(INTEGERS[block.element_size()]) for block in blocks]
        values = [block.to(torch.float64) for block in blocks]
        largest = max([largest, *(_max_magnitude(value) for value in values)])
        other = bits[0] != bits[1]
        if count := int(other.count_nonzero()):
            differing += count
            difference = (values[1] - values[0]).abs_()
            if not difference.max().isfinite():
                difference = difference[other]  # drop equal elements, whose difference is NaN where they are not finite
                not_finite += int((~difference.isfinite()).sum())
            max_absolute = max(max_absolute, _max_magnitude(difference))
    figures = {"elements": flat[0].numel(), "differing": differing, "max_absolute": max_absolute}
    return {**figures, "largest": largest, "not_finite": not_finite}


def _max_magnitude(values: torch.Tensor) -> float:
    """Return the largest finite magnitude; 0 if there is none."""
    low, high = (float(end) for end in values.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        values = values[values.isfinite()]
        low, high = (float(end) for end in values.aminmax()) if values.numel() else (0.0, 0.0)
    return abs(max(-low, high))


def _source(path: Path) -> Source:
    if path.is_dir():
        return Distributed(path)
    return Safetensors(path) if path.suffix == ".safetensors" else Saved(path)


def main(first: Path, second: Path) -> None:
    """Print the differences as JSON lines."""
    reading = ["old"]
    try:
        old = _source(first)
        reading.append("new")
        new = _source(second)
        for line in differences(old, new, reading.append):
            print(json.dumps(line, allow_nan=False, sort_keys=True), flush=True)
    except (Damaged, *READING) as error:
        text = str(error) if isinstance(error, Damaged) else f"{type(error).__name__}: {error}"
        why = " ".join(text.split())[:200]
        print(json.dumps({"unreadable": reading[-1], "why": why}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
