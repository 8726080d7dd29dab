"""Distributed checkpoints: an index, ``.metadata``, and files with parts of tensors.

PyTorch reads the index with ``pickle``, and Megatron reads parts that are not tensors with ``weights_only=False``.
``check_weights`` therefore reads all of it first, without PyTorch.
"""

import io
import math
import re
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tapeout.guard import pickles
from tapeout.guard.errors import UnusableModel, refuse
from tapeout.guard.saved import TYPES, Tensor, check_saved

if TYPE_CHECKING:
    import torch
    from torch.distributed.checkpoint import FileSystemReader
    from torch.distributed.checkpoint.metadata import Metadata

INDEX = ".metadata"
MAX_INDEX = 1 << 30
PART = re.compile(r"__[0-9]{1,6}_[0-9]{1,6}\.distcp")
CHECKPOINT = "torch.distributed.checkpoint"
PLANS = frozenset(
    {
        *((f"{CHECKPOINT}.planner", name) for name in ("SavePlan", "WriteItem", "WriteItemType", "TensorWriteData")),
        ("megatron.core.dist_checkpointing.strategies.torch", "MCoreSavePlan"),
    }
)
"""Names in the save plans that an index may contain; no object is made of them here."""
INDEX_NAMES = PLANS | frozenset(
    {
        *((f"{CHECKPOINT}.metadata", f"{kind}StorageMetadata") for kind in ("Bytes", "Chunk", "Tensor")),
        *((f"{CHECKPOINT}.metadata", name) for name in ("Metadata", "MetadataIndex", "StorageMeta")),
        *((f"{CHECKPOINT}.metadata", name) for name in ("TensorProperties", "_MEM_FORMAT_ENCODING")),
        (f"{CHECKPOINT}.filesystem", "_StorageInfo"),
        *(("torch.serialization", "_get_layout"), ("torch", "Size"), ("collections", "OrderedDict")),
        ("pathlib", "PosixPath"),
        *(("torch", name) for name in TYPES),
    }
)
"""Everything that an index names."""


@dataclass(frozen=True)
class Part:
    """Part of a tensor or value of a distributed checkpoint.

    Attributes:
        file: name of its file, beside the index.
        offset, length: position and bytes in the file.
        start: position in the tensor; None for a value.
    """

    file: str
    offset: int
    length: int
    start: tuple[int, ...] | None


@dataclass(frozen=True)
class Entry:
    """Tensor or value of a distributed checkpoint.

    Attributes:
        tensor: type and shape; None for a value.
        parts: where it is.
    """

    tensor: Tensor | None
    parts: tuple[Part, ...]


def read_index(folder: Path) -> dict[str, Entry]:
    """Return the tensors and values of a distributed checkpoint by name, sorted, without PyTorch.

    Args:
        folder: the folder with ``.metadata``.

    Raises:
        UnusableModel: the index is damaged, names something else than an index does, or refers to bytes outside of
            the files beside it.
    """
    what = f"{folder.name}/{INDEX}"
    index = pickles.load_exact(_bytes(folder / INDEX), INDEX_NAMES, what)
    try:
        state = index.state
        kinds, located = state["state_dict_metadata"], state["storage_data"]
        parts: dict[str, list[Part]] = {name: [] for name in sorted(kinds)}
        sizes: dict[str, int] = {}
        for key, location in located.items():
            part = _part(key.state, location.state)
            if not PART.fullmatch(part.file):
                raise refuse(what, f"names {part.file!r}, which is no part or a file outside its folder")
            if part.file not in sizes:
                sizes[part.file] = _size(folder / part.file)
            if part.offset + part.length > sizes[part.file]:
                raise UnusableModel(f"{folder.name}/{part.file} is truncated.", "Build or fetch it again.")
            parts[key.state["fqn"]].append(part)
        return {name: Entry(_tensor(kinds[name]), tuple(parts[name])) for name in parts}
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UnusableModel(
            f"{what} is not the index of a distributed checkpoint: {type(error).__name__}: {error}.",
            "Build or fetch it again.",
        ) from error


def _bytes(path: Path) -> bytes:
    if _size(path) > MAX_INDEX:
        raise refuse(path.name, f"has more than {MAX_INDEX:,} bytes")
    return path.read_bytes()


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_file():
        raise UnusableModel(f"{path.parent.name} lacks the file {path.name}.", "Build or fetch it again.")
    return path.stat().st_size


def _part(key: dict[str, Any], location: dict[str, Any]) -> Part:
    offset, length, start = location["offset"], location["length"], key.get("offset")
    if location.get("transform_descriptors") or location.get("transformed_length"):
        raise ValueError("it has a compression that is not supported")
    if not all(type(number) is int and number >= 0 for number in (offset, length, *(start or ()))):
        raise ValueError("a position is not a number")
    return Part(location["relative_path"], offset, length, tuple(start) if start is not None else None)


def _tensor(kind: pickles.Stub) -> Tensor | None:
    if kind.what == f"{CHECKPOINT}.metadata.BytesStorageMetadata":
        return None
    if kind.what != f"{CHECKPOINT}.metadata.TensorStorageMetadata":
        raise ValueError(f"an entry is a {kind.what}")
    dtype = kind.state["properties"].state[0].what.removeprefix("torch.")
    shape = tuple(kind.state["size"])
    chunks = [(tuple(chunk.state["offsets"]), tuple(chunk.state["sizes"])) for chunk in kind.state["chunks"]]
    for offsets, sizes in ((None, shape), *chunks):
        if not all(type(number) is int and number >= 0 for number in (*sizes, *(offsets or ()))):
            raise ValueError("a shape is not of numbers")
        if offsets is not None and any(a + b > c for a, b, c in zip(offsets, sizes, shape, strict=True)):
            raise ValueError("a part lies outside its tensor")
    if sum(math.prod(sizes) for _, sizes in chunks) != math.prod(shape) or dtype not in TYPES:
        raise ValueError("the parts of a tensor do not make it up")
    return Tensor(dtype, shape)


def check_weights(folder: Path) -> dict[str, Entry]:
    """Return the index after checking every part of every file, before Megatron reads it.

    Raises:
        UnusableModel: see ``read_index``; or a part is not a tensor of the type in the index, or a value other than
            ``None`` and plain values.
    """
    entries = read_index(folder)
    for name, entry in entries.items():
        if not entry.parts:
            raise UnusableModel(f"{folder.name}/{INDEX} lacks the parts of {name}.", "Build or fetch it again.")
        for part in entry.parts:
            what = f"{name} in {folder.name}/{part.file}"
            with open(folder / part.file, "rb") as file:
                value = check_saved(io.BufferedReader(_Slice(file, part.offset, part.length)), what)
            if entry.tensor is not None and not (isinstance(value, Tensor) and value.dtype == entry.tensor.dtype):
                raise refuse(what, f"is not a tensor of type {entry.tensor.dtype}")
    return entries


def read_metadata(path: Path) -> "Metadata":
    """Return the index ``.metadata`` as PyTorch's own object, with stubs for the plans of the programs that wrote it.

    Args:
        path: the file ``.metadata``.

    Raises:
        UnusableModel: see ``read_index``.
    """
    read_index(path.parent)
    metadata: Metadata = pickles.load_objects(_bytes(path), INDEX_NAMES - PLANS)
    return metadata


def open_weights(folder: Path) -> "FileSystemReader":
    """Return a reader of PyTorch for the tensors of a distributed checkpoint, whose index is read by the guard.

    Only tensors may be read through it: values that are not tensors would be read with ``pickle``.

    Raises:
        UnusableModel: see ``read_index``.
    """
    from torch.distributed.checkpoint import FileSystemReader
    from torch.distributed.checkpoint.metadata import StorageMeta

    def guarded(*_: Any, **__: Any) -> "Metadata":
        metadata = read_metadata(folder / INDEX)
        metadata.storage_meta = metadata.storage_meta or StorageMeta()
        metadata.storage_meta.load_id = reader.load_id
        return metadata

    read_index(folder)
    reader = FileSystemReader(folder)
    reader.read_metadata = guarded
    return reader


def load_tensor(path: Path, offset: int, length: int) -> "torch.Tensor":
    """Return the tensor in a part of a file; memory is needed for this tensor alone.

    Raises:
        UnusableModel: the part is not a file of ``torch.save`` with one tensor.
    """
    what = f"{path.parent.name}/{path.name} at {offset:,}"
    import torch

    with open(path, "rb") as file:
        if not isinstance(check_saved(io.BufferedReader(_Slice(file, offset, length)), what), Tensor):
            raise refuse(what, "is not a tensor")
        part: Any = _Slice(file, offset, length)
        tensor: torch.Tensor = torch.load(part, map_location="cpu", weights_only=True)
    return tensor


class _Slice(io.RawIOBase):
    """Part of an open file."""

    def __init__(self, file: BufferedReader, offset: int, length: int) -> None:
        self.file, self.offset, self.length, self.position = file, offset, length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: self.length}[whence]
        if base + offset < 0:
            raise OSError("a position before the beginning")
        self.position = base + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: Any) -> int:
        self.file.seek(self.offset + self.position)
        wanted = max(0, min(len(buffer), self.length - self.position))
        count = self.file.readinto(memoryview(buffer)[:wanted])
        self.position += count
        return count
