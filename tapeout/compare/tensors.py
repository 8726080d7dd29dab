"""``python -m tapeout.compare.tensors OLD NEW``: the tensors of two checkpoints that differ, one JSON line each.

Runs in the environment ``nemo``, because it needs torch. Reads safetensors files, files that ``torch.save`` wrote, and
distributed checkpoints (a folder with ``.metadata`` and ``.distcp`` files) with one tensor of each in memory; nothing
that a pickle asks for is run. A line has ``name`` and ``state``: ``added``, ``removed``, ``form`` (other type or
shape), ``changed``, or ``value`` for what is no tensor; the last line counts those that are ``equal``, or says under
``unreadable`` which checkpoint cannot be read, and ``why``.
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

from tapeout.compare import inert

BLOCK = 1 << 22
"""Elements that are compared at a time."""

INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""By size in bytes: to compare bits."""

READING = (
    *(pickle.UnpicklingError, EOFError, KeyError, IndexError, ValueError, TypeError, AttributeError, RuntimeError),
    *(AssertionError, OverflowError, MemoryError, struct.error, OSError, BadZipFile, SafetensorError),
)
"""What reading a damaged pickle, zip or header raises; found by damaging thousands of each at random."""


class Damaged(Exception):
    """A checkpoint cannot be read; the text says why."""


class Source(Protocol):
    """A checkpoint: the names of what it holds, and one thing of it."""

    def names(self) -> list[str]:
        """All names, sorted."""

    def read(self, name: str) -> Any:
        """A tensor, or any JSON value."""


class Safetensors:
    """A file of tensors, mapped into memory."""

    def __init__(self, path: Path) -> None:
        self.file = safe_open(path, framework="pt")

    def names(self) -> list[str]:
        return [*sorted(self.file.keys()), "__metadata__"]

    def read(self, name: str) -> Any:
        return self.file.metadata() if name == "__metadata__" else self.file.get_tensor(name)


class Saved:
    """What ``torch.save`` wrote: everything by dotted name, tensors mapped into memory."""

    def __init__(self, path: Path) -> None:
        with ZipFile(path) as packed:
            if any(name.endswith("/constants.pkl") for name in packed.namelist()):
                raise Damaged("it is a program (TorchScript), which is not read")
        self.leaves = dict(leaves(_load(str(path), mmap=True)))

    def names(self) -> list[str]:
        return sorted(self.leaves)

    def read(self, name: str) -> Any:
        return self.leaves[name]


class Distributed:
    """A distributed checkpoint: an index and files that hold parts of tensors, each as ``torch.save`` writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        index = inert.load((folder / ".metadata").read_bytes()).state
        self.kinds = {name: kind.state or {} for name, kind in index["state_dict_metadata"].items()}
        self.parts: dict[str, list[tuple[tuple[int, ...], dict[str, Any]]]] = {}
        for key, place in index["storage_data"].items():
            if place.state.get("transform_descriptors"):
                raise Damaged("it is compressed in a way that is not known here")
            if Path(place.state["relative_path"]).name != place.state["relative_path"]:
                raise Damaged("it names a file outside its folder")
            self.parts.setdefault(key.state["fqn"], []).append((key.state.get("offset") or (), place.state))

    def names(self) -> list[str]:
        return sorted(self.kinds)

    def read(self, name: str) -> Any:
        if "size" not in self.kinds[name]:
            return [self._part(place) for _, place in self.parts[name]]
        whole, filled = torch.empty(0), 0
        for offset, place in self.parts[name]:
            part = self._part(place)
            whole = whole if filled else torch.empty(self.kinds[name]["size"], dtype=part.dtype)
            target = whole
            for dimension, start in enumerate(offset):
                target = target.narrow(dimension, start, part.shape[dimension])
            target.copy_(part)
            filled += part.numel()
        if filled != whole.numel():
            raise Damaged(f"a part of {name} is missing")
        return whole

    def _part(self, place: dict[str, Any]) -> Any:
        with open(self.folder / place["relative_path"], "rb") as file:
            file.seek(place["offset"])
            return _load(io.BytesIO(file.read(place["length"])))


def _load(file: str | io.BytesIO, mmap: bool = False) -> Any:
    """What ``torch.save`` wrote, with tensors and plain containers alone brought to life."""
    unpickling = ModuleType("inert")
    vars(unpickling)["Unpickler"] = inert.unpickler(_torch)
    return torch.load(file, map_location="cpu", pickle_module=unpickling, weights_only=False, mmap=mmap)


def _torch(module: str, name: str) -> Any:
    """Functions and types that only put a tensor together."""
    if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter"):
        return getattr(torch._utils, name)
    if module in ("torch", "torch.storage") and name == "UntypedStorage":
        return torch.UntypedStorage
    found = getattr(torch, name, None) if module == "torch" else None
    return found if isinstance(found, torch.dtype) else None


def leaves(value: Any, name: str = "", around: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Everything in a nested value by dotted name: tensors, and what else there is as JSON values."""
    if isinstance(value, inert.Named):
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


def differences(old: Source, new: Source, side: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """All that differs, in the order of the names; the last line has the number of equal ones.

    Args:
        old, new: the checkpoints.
        side: is told which of them is read next, so that one knows whose fault an error is.
    """
    before, after = set(old.names()), set(new.names())
    equal = 0
    for name in sorted(before | after):
        side("old")
        left = dict(leaves(old.read(name), name)) if name in before else {}
        side("new")
        right = dict(leaves(new.read(name), name)) if name in after else {}
        for leaf in sorted(left.keys() | right.keys()):
            found = _compared(leaf, left, right)
            equal += found is None
            if found is not None:
                yield {"name": leaf, **found}
    yield {"equal": equal}


def _compared(name: str, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any] | None:
    if name not in old or name not in new:
        held = _form(old[name] if name in old else new[name])
        return {"state": "removed", "old": held} if name in old else {"state": "added", "new": held}
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
    """How many elements differ in their bits, by how much at most, and the largest magnitude of the tensors."""
    if old.is_complex():
        old, new = torch.view_as_real(old.resolve_conj()), torch.view_as_real(new.resolve_conj())
    flat = old.contiguous().reshape(-1), new.contiguous().reshape(-1)
    differing, not_finite, most, largest = 0, 0, 0.0, 0.0
    for start in range(0, flat[0].numel(), BLOCK):
        blocks = [tensor[start : start + BLOCK] for tensor in flat]
        bits = [block.view(INTEGERS[block.element_size()]) for block in blocks]
        values = [block.to(torch.float64) for block in blocks]
        largest = max([largest, *(_largest(value) for value in values)])
        other = bits[0] != bits[1]
        if count := int(other.count_nonzero()):
            differing += count
            apart = (values[1] - values[0]).abs_()
            if not apart.max().isfinite():
                apart = apart[other]  # without those that are equal, and infinite or no numbers
                not_finite += int((~apart.isfinite()).sum())
            most = max(most, _largest(apart))
    figures = {"elements": flat[0].numel(), "differing": differing, "max_absolute": most}
    return {**figures, "largest": largest, "not_finite": not_finite}


def _largest(values: torch.Tensor) -> float:
    """The largest finite magnitude; 0 if there is none."""
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
    """Print the lines."""
    reading = ["old"]
    try:
        old = _source(first)
        reading.append("new")
        new = _source(second)
        for line in differences(old, new, reading.append):
            print(json.dumps(line, allow_nan=False, sort_keys=True), flush=True)
    except (Damaged, *READING) as error:
        said = str(error) if isinstance(error, Damaged) else f"{type(error).__name__}: {error}"
        why = " ".join(said.split())[:200]
        print(json.dumps({"unreadable": reading[-1], "why": why}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
