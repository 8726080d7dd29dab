"""Program that compares the tensors of two checkpoints: ``python -m tapeout.compare.tensors OLD NEW``.

It runs in the environment ``nemo``, because it needs torch. It reads safetensors files, files of ``torch.save``, and
distributed checkpoints (a folder with ``.metadata`` and ``.distcp`` files), with one tensor of each checkpoint in
memory, and runs no code that a pickle names.

Output is one JSON line per difference with ``name`` and ``state``: ``added``, ``removed``, ``form`` (another type or
shape), ``changed``, or ``value`` for what is not a tensor. The last line has the number of ``equal`` ones; or
``unreadable``, the checkpoint (``old`` or ``new``) that cannot be read, and ``why``.
"""

import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open

from tapeout.guard.errors import UnusableModel
from tapeout.guard.inert import load_inert, load_part
from tapeout.guard.pickles import DAMAGE, Stub
from tapeout.guard.weights import Part, read_index

BLOCK = 1 << 22
"""Elements compared at a time."""

INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integer types by size in bytes, to compare bits."""

READING = (*DAMAGE, OSError, SafetensorError)
"""Exceptions of damaged files, collected by damaging thousands of files at random."""


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
        self.leaves = dict(leaves(load_inert(path, "it")))

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
        self.entries = read_index(folder)

    def names(self) -> list[str]:
        """Return the names in the index."""
        return sorted(self.entries)

    def read(self, name: str) -> Any:
        """Return a tensor, put together from its parts, or the parts of another value."""
        entry = self.entries[name]
        if entry.tensor is None:
            return [self._part(part) for part in entry.parts]
        whole, filled = torch.empty(0), 0
        for location in entry.parts:
            part = self._part(location)
            whole = whole if filled else torch.empty(entry.tensor.shape, dtype=part.dtype)
            target = whole
            for dimension, start in enumerate(location.start or ()):
                target = target.narrow(dimension, start, part.shape[dimension])
            target.copy_(part)
            filled += part.numel()
        if filled != whole.numel():
            raise UnusableModel(f"A part of {name} is missing.", "Build it again.")
        return whole

    def _part(self, part: Part) -> Any:
        return load_part(self.folder / part.file, part.offset, part.length, "it")


def leaves(value: Any, name: str = "", around: tuple[int, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield the tensors in a nested value by dotted name, and everything else as JSON values."""
    if isinstance(value, Stub):
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
    except (UnusableModel, *READING) as error:
        text = error.cause.rstrip(".") if isinstance(error, UnusableModel) else f"{type(error).__name__}: {error}"
        why = " ".join(text.split())[:200]
        print(json.dumps({"unreadable": reading[-1], "why": why}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
