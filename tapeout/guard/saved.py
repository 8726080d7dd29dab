"""Files of ``torch.save``, checked without PyTorch: a zip with one pickle and the contents of its tensors.

``check_saved`` proves that the pickle names nothing but what builds a tensor, and that each tensor fits its content.
What PyTorch then reads, also through Megatron with ``weights_only=False``, can run nothing.
"""

import io
import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tapeout.guard import pickles
from tapeout.guard.errors import UnusableModel, refuse
from tapeout.guard.zip import open_zip, read_member

MAX_PICKLE = 1 << 28
TYPES = {
    **{"bool": 1, "uint8": 1, "int8": 1, "int16": 2, "int32": 4, "int64": 8},
    **{"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex64": 8, "complex128": 16},
    **{"uint16": 2, "uint32": 4, "uint64": 8, "float8_e4m3fn": 1, "float8_e5m2": 1},
}
"""Bytes of an element, by the name of its type."""
STORAGES = {
    **{"BoolStorage": "bool", "ByteStorage": "uint8", "CharStorage": "int8", "ShortStorage": "int16"},
    **{"IntStorage": "int32", "LongStorage": "int64", "HalfStorage": "float16", "BFloat16Storage": "bfloat16"},
    **{"FloatStorage": "float32", "DoubleStorage": "float64"},
    **{"ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128"},
}
"""Type of the elements, by the class of the content."""
REBUILD = {("torch._utils", name) for name in ("_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter")}
SAVED_NAMES = frozenset(
    {
        *(("torch", name) for name in (*STORAGES, *TYPES, "UntypedStorage", "Size")),
        *(("torch.storage", "UntypedStorage"), ("collections", "OrderedDict"), ("_codecs", "encode")),
        *REBUILD,
    }
)
"""Everything that a file of ``torch.save`` with tensors and plain values names."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file, without its content."""

    dtype: str
    shape: tuple[int, ...]


def check_saved(file: Path | IO[bytes], what: str) -> Any:
    """Return the value in a file of ``torch.save``, with a ``Tensor`` for each tensor.

    Args:
        file: path, or file that can seek.
        what: the file in messages.

    Raises:
        UnusableModel: it is damaged, is a program (TorchScript) or of PyTorch before 1.6, or names something that a
            model does not need.
    """
    archive, members = open_zip(file, what, stored=True)
    with archive:
        sizes = {member.name: member.size for member in members}
        pickles_of = [name for name in sizes if name.endswith("data.pkl") and name.count("/") == 1]
        if len(pickles_of) != 1 or any(PurePosixPath(name).name == "constants.pkl" for name in sizes):
            raise refuse(what, "is not a file of torch.save, or is a TorchScript program")
        root = pickles_of[0].removesuffix("data.pkl")
        order = f"{root}byteorder"
        if order in sizes and read_member(archive, order, what, 16) != b"little":
            raise UnusableModel(f"{what} has another byte order.", "Save it on a little-endian machine.")
        data = read_member(archive, pickles_of[0], what, MAX_PICKLE)
    value = pickles.load_exact(data, SAVED_NAMES, what, tensors=True)
    try:
        return _described(value, root, sizes, what, {})
    except RecursionError:
        raise refuse(what, "has values inside one another, more than any model has") from None


def _described(value: Any, root: str, sizes: dict[str, int], what: str, done: dict[int, Any]) -> Any:
    """Return a value with a ``Tensor`` for each tensor; what it refers to twice, and itself, once."""
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, dict):
        result: Any = {}
        done[id(value)] = result
        for key, item in value.items():
            result[_described(key, root, sizes, what, done)] = _described(item, root, sizes, what, done)
    elif isinstance(value, list):
        done[id(value)] = result = []
        result.extend(_described(item, root, sizes, what, done) for item in value)
    elif isinstance(value, tuple):
        done[id(value)] = result = tuple(_described(item, root, sizes, what, done) for item in value)
    elif isinstance(value, pickles.Stub):
        result = _tensor(value, root, sizes, what)
    elif isinstance(value, pickles.Storage):
        raise refuse(what, "has the content of a tensor in the place of a tensor")
    else:
        result = value.what if isinstance(value, type) and issubclass(value, pickles.Stub) else value
    return result


def _tensor(stub: pickles.Stub, root: str, sizes: dict[str, int], what: str) -> Any:
    name = stub.what.removeprefix("torch._utils.")
    try:
        if name == "_rebuild_parameter":
            return _tensor(stub.arguments[0], root, sizes, what)
        if name not in ("_rebuild_tensor_v2", "_rebuild_tensor_v3"):
            raise ValueError(f"it contains an object {stub.what}")
        storage, offset, shape, stride = stub.arguments[:4]
        if not isinstance(storage, pickles.Storage) or len(shape) != len(stride):
            raise ValueError("a tensor has no content")
        integers = (offset, *shape, *stride)
        if not all(type(number) is int and number >= 0 for number in integers):
            raise ValueError("a tensor has an invalid shape")
        if name == "_rebuild_tensor_v2":
            dtype = STORAGES[storage.kind]
        else:
            dtype = stub.arguments[6].what.removeprefix("torch.")
        count = math.prod(shape)
        untyped = storage.kind == "UntypedStorage"
        content = storage.elements if untyped else storage.elements * TYPES[dtype]
        last = offset + sum(step * (size - 1) for size, step in zip(shape, stride, strict=True)) if count else -1
        if sizes.get(f"{root}data/{storage.key}") != content or (max(count, last + 1) * TYPES[dtype] > content):
            raise ValueError("a tensor does not fit its content")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise refuse(what, f"is not a plain file of tensors: {error}") from None
    return Tensor(dtype, tuple(shape))


def load_saved(path: Path, what: str = "", mmap: bool = False) -> Any:
    """Return the content of a file of ``torch.save``: tensors on the CPU and plain values.

    Args:
        path: the file.
        what: the file in messages; its name if empty.
        mmap: map tensors into memory instead of reading them.

    Raises:
        UnusableModel: see ``check_saved``.
    """
    check_saved(path, what or path.name)
    import torch

    return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)


def load_bytes(data: bytes, what: str) -> Any:
    """Return the content of a file of ``torch.save`` that is in memory.

    Raises:
        UnusableModel: see ``check_saved``.
    """
    check_saved(io.BytesIO(data), what)
    import torch

    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


load_common = load_saved
"""Reads ``common.pt``, the values of a distributed checkpoint that are not in its index."""
