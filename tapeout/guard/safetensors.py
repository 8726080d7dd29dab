"""Headers of safetensors files, read without a library."""

import json
import math
import struct
from pathlib import Path
from typing import Any

from tapeout.guard.errors import UnusableModel, refuse
from tapeout.guard.saved import TYPES, Tensor

MAX_HEADER = 100_000_000
"""Limit of the format."""
DTYPES = {
    **{"BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64"},
    **{"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"},
    **{"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"},
}


def read_header(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a safetensors file by name, sorted, and its metadata.

    Raises:
        UnusableModel: the header is damaged, or the tensors overlap, leave gaps, or do not fill the file.
    """
    if path.is_symlink() or not path.is_file():
        raise UnusableModel(f"{path.name} is missing, or not a plain file.", "Build or fetch it again.")
    size = path.stat().st_size
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
        if length > min(MAX_HEADER, size - 8):
            raise UnusableModel(f"{path.name} is not a safetensors file, or is truncated.", "Build or fetch it again.")
        header = file.read(length)
    try:
        content = json.loads(header.decode("utf-8"), object_pairs_hook=_unique)
        metadata = content.pop("__metadata__", {})
        if not all(isinstance(text, str) for pair in metadata.items() for text in pair):
            raise ValueError("its metadata is not text")
        tensors = {name: _tensor(content[name]) for name in sorted(content)}
        end = 0
        for start, stop in sorted(tuple(entry["data_offsets"]) for entry in content.values()):
            if start != end:
                raise ValueError("its tensors overlap or leave gaps")
            end = stop
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise refuse(path.name, f"has an invalid header: {error}") from error
    if end != size - 8 - length:
        raise UnusableModel(f"{path.name} is truncated, or continues after its end.", "Build or fetch it again.")
    return tensors, metadata


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("it repeats a name")
    return result


def _tensor(entry: dict[str, Any]) -> Tensor:
    shape, (start, stop) = entry["shape"], entry["data_offsets"]
    if entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError("a tensor has other fields than type, shape and offsets")
    if not all(type(number) is int and number >= 0 for number in (*shape, start, stop)):
        raise ValueError("a shape or an offset is not a number")
    dtype = DTYPES[entry["dtype"]]
    if math.prod(shape) * TYPES[dtype] != stop - start:
        raise ValueError("a tensor does not fit its offsets")
    return Tensor(dtype, tuple(shape))
