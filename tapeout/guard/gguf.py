"""Headers of GGUF files, read without a library: fields, and type, shape and place of each tensor.

The library ``gguf`` makes an array for every number that a header announces, and takes sizes and offsets as they are.
Here every count is compared with the bytes that are left before anything is read, and the content of arrays is skipped.
"""

import math
import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapeout.guard.errors import UnusableModel, refuse
from tapeout.guard.saved import Tensor

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MAX_HEADER = 1 << 27
MAX_FIELDS = MAX_TENSORS = 1 << 17
MAX_NAME, MAX_DIMENSIONS = 255, 4
SCALARS = {
    **{0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i"},
    **{6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"},
}
"""Types of values as ``struct`` writes them, by their numbers."""
STRING, ARRAY = 8, 9
BLOCKS: dict[int, tuple[str, int, int]] = {
    **{0: ("float32", 1, 4), 1: ("float16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22)},
    **{7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110)},
    **{12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292)},
    **{16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50)},
    **{20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136)},
    **{24: ("int8", 1, 1), 25: ("int16", 1, 2), 26: ("int32", 1, 4), 27: ("int64", 1, 8), 28: ("float64", 1, 8)},
    **{29: ("IQ1_M", 256, 56), 30: ("bfloat16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66)},
    **{39: ("MXFP4", 32, 17)},
}
"""Name, numbers and bytes of a block of each type of tensor, by its number."""
BYTES = {name: (numbers, size) for name, numbers, size in BLOCKS.values()}
"""Numbers and bytes of a block by the name of the type."""


@dataclass(frozen=True)
class Header:
    """Metadata and tensor list of a GGUF file.

    Attributes:
        version: version of the format.
        fields: values by name; of an array the number of its values.
        tensors: type and shape of each tensor, rows first.
    """

    version: int
    fields: dict[str, Any]
    tensors: dict[str, Tensor]


def read_header(path: Path) -> Header:
    """Return what a GGUF file states.

    Raises:
        UnusableModel: it is damaged, has more than a model has, or its tensors overlap, leave gaps or do not fill it.
    """
    if path.is_symlink() or not path.is_file():
        raise UnusableModel(f"{path.name} is missing, or not a plain file.", "Build or fetch it again.")
    with open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise UnusableModel(f"{path.name} is not a GGUF file.", "Name a .gguf file.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Reader(content, path.name).header()


class _Reader:
    """The content of a file, and the position up to which it was read."""

    def __init__(self, content: mmap.mmap, name: str) -> None:
        self.content, self.name = content, name
        self.position, self.end = len(MAGIC), min(len(content), MAX_HEADER)

    def header(self) -> Header:
        version = self._number("I")
        if version not in VERSIONS:
            raise UnusableModel(
                f"{self.name} is GGUF of version {version}; {' and '.join(map(str, VERSIONS))} are read.",
                "Convert it with a current llama.cpp, on a machine with little-endian numbers.",
            )
        tensors, fields = self._number("Q"), self._number("Q")
        if tensors > MAX_TENSORS or fields > MAX_FIELDS:
            raise refuse(self.name, f"announces {tensors:,} tensors and {fields:,} fields, more than any model has")
        values = self._named(fields, "field", self._value)
        infos = self._named(tensors, "tensor", self._tensor)
        self._check_places(infos, values.get("general.alignment", 32))
        return Header(version, values, {name: tensor for name, (tensor, _, _) in sorted(infos.items())})

    def _named(self, count: int, kind: str, read: Callable[[], Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for _ in range(count):
            name = self._text(MAX_NAME)
            if not name or not name.isprintable():
                raise refuse(self.name, f"has a {kind} whose name is empty or not printable")
            if name in found:
                raise refuse(self.name, f"has the {kind} {name} twice")
            found[name] = read()
        return found

    def _number(self, kind: str) -> Any:
        size = struct.calcsize(f"<{kind}")
        (value,) = struct.unpack(f"<{kind}", self.content[self._skip(size) : self.position])
        return value

    def _skip(self, size: int) -> int:
        """Pass over some bytes; return the position of the first."""
        start = self.position
        if size > self.end - start:
            raise UnusableModel(
                f"{self.name} is truncated, or its header has more than {MAX_HEADER:,} bytes.", "Fetch the file again."
            )
        self.position += size
        return start

    def _text(self, longest: int) -> str:
        size = self._number("Q")
        if size > longest:
            raise refuse(self.name, f"has a text of {size:,} bytes where at most {longest:,} are expected")
        start = self._skip(size)
        try:
            return self.content[start : self.position].decode()
        except UnicodeDecodeError as error:
            raise refuse(self.name, "has a text that is not UTF-8") from error

    def _value(self) -> Any:
        kind = self._number("I")
        if kind == STRING:
            return self._text(self.end)
        if kind != ARRAY:
            return self._number(self._scalar(kind))
        element, count = self._number("I"), self._number("Q")
        if element == STRING:
            if count > (self.end - self.position) // 8:
                raise refuse(self.name, f"announces an array of {count:,} texts, more than it has bytes for")
            for _ in range(count):
                self._skip(self._number("Q"))
        else:
            self._skip(count * struct.calcsize(f"<{self._scalar(element)}"))
        return count

    def _scalar(self, kind: int) -> str:
        if kind not in SCALARS:
            raise refuse(self.name, f"has a value of the type {kind}, which no model has")
        return SCALARS[kind]

    def _tensor(self) -> tuple[Tensor, int, int]:
        """Return a tensor, its offset in the data, and its bytes."""
        dimensions = self._number("I")
        if not 1 <= dimensions <= MAX_DIMENSIONS:
            raise refuse(self.name, f"has a tensor of {dimensions:,} dimensions")
        shape = tuple(self._number("Q") for _ in range(dimensions))
        kind, offset = self._number("I"), self._number("Q")
        if kind not in BLOCKS:
            raise UnusableModel(
                f"{self.name} has a tensor of the type {kind}, which Tapeout does not know.",
                "Use a file with another quantization.",
            )
        name, numbers, size = BLOCKS[kind]
        if shape[0] % numbers or 0 in shape:
            raise refuse(self.name, f"has a tensor of the shape {shape}, which has no whole blocks of {name}")
        return Tensor(name, shape[::-1]), offset, math.prod(shape) // numbers * size

    def _check_places(self, tensors: dict[str, tuple[Tensor, int, int]], alignment: Any) -> None:
        """Check that the tensors lie side by side, each at a multiple of the alignment, and fill the file."""
        if type(alignment) is not int or not 1 <= alignment <= 1 << 16:
            raise refuse(self.name, f"has the alignment {alignment!r}")

        def padded(size: int) -> int:
            return -(-size // alignment) * alignment

        start, size = padded(self.position), len(self.content)
        end = 0
        for _, offset, length in sorted(tensors.values(), key=lambda tensor: tensor[1]):
            if offset != padded(end):
                raise refuse(self.name, "has tensors that overlap or leave gaps")
            end = offset + length
        if tensors and not start + end <= size <= start + padded(end):
            raise UnusableModel(
                f"{self.name} is truncated, or continues after its end: its tensors end at byte {start + end:,} of "
                f"{size:,}.",
                "Fetch the file again.",
            )
