"""Pickles are read without running code that they name."""

import collections
import io
import os
import pickle
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tapeout.guard import pickles


@dataclass
class Plain:
    """A class that the reader does not know."""

    name: str
    parts: list[int] = field(default_factory=list)


class Runs:
    """An object whose pickle runs a command when ``pickle`` loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_plain_values_are_loaded_and_objects_become_stubs(protocol: int) -> None:
    value = {"list": [1, 2.5, None, True, b"x", ("a",)], "set": {1}, "ordered": collections.OrderedDict(a=1)}
    assert pickles.load(pickle.dumps(value, protocol)) == value
    loaded = pickles.load(pickle.dumps([Plain("a", [1]), Path("b"), io.BytesIO(b"c")], max(protocol, 2)))
    assert loaded[0].what.endswith("Plain") and loaded[0].state == {"name": "a", "parts": [1]}
    assert loaded[1].what.startswith("pathlib") and loaded[1].arguments == ("b",)
    assert loaded[2].parts() == {"class": "_io.BytesIO", "state": (b"c", 0, None)}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_nothing_is_run(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps({"weights": Runs(tmp_path / "ran")}, protocol)
    loaded = pickles.load(io.BytesIO(data))["weights"]
    assert loaded.what == "posix.system" and str(tmp_path) in loaded.arguments[0]
    assert not (tmp_path / "ran").exists()
    pickle.loads(data)
    assert (tmp_path / "ran").exists()


def test_members_of_other_containers_are_recorded() -> None:
    queue, counter = collections.deque([1, 2]), collections.defaultdict(list, {"a": [1]})
    loaded = pickles.load(pickle.dumps([queue, counter]))
    assert loaded[0].items == [1, 2] and loaded[1].items == [("a", [1])]


def test_a_damaged_pickle_raises_only_expected_errors() -> None:
    whole = pickle.dumps({"a": [Plain("x"), {1, 2}, "text" * 20], "b": Path("c")}, 4)
    draw = random.Random(3)
    for _ in range(3_000):
        data = bytearray(whole[: draw.randrange(1, len(whole))] if draw.random() < 0.3 else whole)
        for _ in range(draw.randrange(3)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        try:
            pickles.load(bytes(data))
        except READING:
            continue


READING = (
    *(pickle.UnpicklingError, EOFError, KeyError, IndexError, ValueError, TypeError, AttributeError),
    *(OverflowError, MemoryError, RuntimeError),
)
