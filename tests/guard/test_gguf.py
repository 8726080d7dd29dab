"""Headers of GGUF files: what is in them, and refusal of those that a library would believe."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tapeout.cli.main import app
from tapeout.guard.errors import UnusableModel
from tapeout.guard.gguf import read_header
from tapeout.guard.saved import Tensor

HUGE = 1 << 62
Tensors = Sequence[tuple[str, tuple[int, ...], int, int]]
ONE: Tensors = (("a", (32, 2), 2, 0), ("b", (3,), 0, 64))
"""Name, shape, type and offset of each tensor: 36 bytes of Q4_0, and 12 of float32 at the next multiple of 32."""


def text(value: str, size: int | None = None) -> bytes:
    return struct.pack("<Q", len(value.encode()) if size is None else size) + value.encode()


def field(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


FIELDS = [
    field("general.architecture", 8, text("llama")),
    field("llama.block_count", 4, struct.pack("<I", 2)),
    field("tokenizer.ggml.model", 8, text("gpt2")),
    field("tokenizer.ggml.pre", 8, text("smollm")),
    field("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + text("a") + text("é")),
    field("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, 2) + bytes(8)),
    field("tokenizer.chat_template", 8, text("{{ messages }}")),
]


def gguf(
    fields: Sequence[bytes] = FIELDS,
    tensors: Tensors = ONE,
    counts: tuple[int, int] | None = None,
    version: int = 3,
    data: int = 96,
) -> bytes:
    number, count = counts or (len(tensors), len(fields))
    header = b"GGUF" + struct.pack("<IQQ", version, number, count) + b"".join(fields)
    for name, shape, kind, offset in tensors:
        header += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
    return header + bytes(-len(header) % 32) + bytes(data)


def inspected(path: Path) -> tuple[int, Any]:
    result = CliRunner().invoke(app, ["inspect", str(path), "--json"])
    return result.exit_code, json.loads(result.stdout)


def test_a_file_is_described_and_accepted(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf())
    header = read_header(path)
    assert header.tensors == {"a": Tensor("Q4_0", (2, 32)), "b": Tensor("float32", (3,))}
    assert header.fields["tokenizer.ggml.tokens"] == 2
    status, found = inspected(path)
    assert (status, found["kind"]) == (0, "GGUF file of version 3")
    assert found["architecture"]["block_count"] == 2 and found["architecture"]["architecture"] == "llama"
    assert found["architecture"]["chat_template"] == "{{ messages }}"
    assert found["tokenizer"] == {"tokenizer.ggml": "gpt2, words as of smollm, 2 pieces"}
    assert found["types"]["Q4_0"] == {"tensors": 1, "elements": 64, "bytes": 36}
    for data in (76, 96):  # the end of the last tensor may be padded or not
        path.write_bytes(gguf(data=data))
        assert read_header(path).version == 3


HOSTILE = {
    "number of tensors": gguf(counts=(HUGE, len(FIELDS))),
    "number of tensors that are missing": gguf(counts=(99, len(FIELDS))),
    "number of fields": gguf(counts=(2, HUGE)),
    "number of fields that are missing": gguf([], (), counts=(0, 3), data=0),
    "length of a name": gguf([text("x", HUGE)]),
    "length of a text": gguf([field("x", 8, text("x", HUGE))]),
    "array of texts": gguf([field("x", 9, struct.pack("<IQ", 8, HUGE))]),
    "array of numbers": gguf([field("x", 9, struct.pack("<IQ", 12, HUGE))]),
    "array of arrays": gguf([field("x", 9, struct.pack("<IQ", 9, 1))]),
    "type of a value": gguf([field("x", 99, b"")]),
    "text that is not UTF-8": gguf([text("x") + struct.pack("<IQ", 8, 1) + b"\xff"]),
    "name that is not printable": gguf([field("\x1b[2J", 7, b"\0")]),
    "field twice": gguf([FIELDS[0], FIELDS[0]]),
    "tensor twice": gguf(tensors=(ONE[0], ("a", (3,), 0, 64))),
    "dimensions": gguf(tensors=(("a", (1,) * 5, 0, 0),)),
    "no dimension": gguf(tensors=(("a", (), 0, 0),)),
    "size of a tensor": gguf(tensors=(("a", (1 << 40, 1 << 40), 0, 0),)),
    "empty tensor": gguf(tensors=(("a", (0, 2), 0, 0),)),
    "part of a block": gguf(tensors=(("a", (31, 2), 2, 0),)),
    "type of a tensor": gguf(tensors=(("a", (32,), 4, 0),)),
    "overlapping tensors": gguf(tensors=(ONE[0], ("b", (3,), 0, 32))),
    "the same offset": gguf(tensors=(ONE[0], ("b", (3,), 0, 0))),
    "gap": gguf(tensors=(ONE[0], ("b", (3,), 0, 96)), data=128),
    "offset behind the end": gguf(tensors=(ONE[0], ("b", (3,), 0, HUGE))),
    "offset that is not aligned": gguf(tensors=(ONE[0], ("b", (3,), 0, 36))),
    "alignment": gguf([*FIELDS, field("general.alignment", 4, struct.pack("<I", 0))]),
    "more data": gguf(data=97),
    "less data": gguf(data=75),
    "version 1": gguf(version=1),
    "other byte order": gguf(version=3 << 24),
    "nothing": b"GGUF",
    "another file": b"GGML" + gguf()[4:],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(UnusableModel):
        read_header(path)
    status, found = inspected(path)
    assert status == 1 and list(found["problems"]) == ["model.gguf"]


def test_fields_of_other_types_are_shown_as_they_are(tmp_path: Path) -> None:
    names = ("general.architecture", "tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.chat_template")
    (tmp_path / "model.gguf").write_bytes(gguf([field(name, 6, struct.pack("<f", float("nan"))) for name in names]))
    assert inspected(tmp_path / "model.gguf")[0] == 0


def test_every_truncated_file_is_refused(tmp_path: Path) -> None:
    path, whole = tmp_path / "model.gguf", gguf(data=76)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(UnusableModel):
            read_header(path)
