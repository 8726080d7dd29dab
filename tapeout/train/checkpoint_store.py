"""The state of a training on disk, from which it goes on: whole or not there.

One folder a state, ``step-120``, with its parts and ``state.json``, which has their sizes and SHA-256 and says whose
state it is. It is written under another name, flushed to the disk, and renamed at last, so that a kill at any moment
leaves it whole or absent. The newest two are kept: one may have been damaged since. A part is what a rank holds, as it
is: states are of one action, and so of one layout. Replicas hold the same, so the first of them writes for all.
"""

import hashlib
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import distributed

LIST = "state.json"
UNFINISHED = ".tmp"


@dataclass(frozen=True)
class Found:
    """A state that every rank has found whole.

    Attributes:
        step: after which it was written.
        content: this rank's part.
        size: bytes of all parts.
    """

    step: int
    content: dict[str, Any]
    size: int


@dataclass(frozen=True)
class States:
    """The states of one training; every method is called by all ranks together.

    Attributes:
        folder: where they lie, on a disk that all ranks see.
        identity: what a state must have been written with: a digest of the job and of this rank's data.
        part: which part of the model this rank holds.
        parts: how many there are.
        replica: which of the ranks that hold this part; 0 writes it.
    """

    folder: Path
    identity: str
    part: int = 0
    parts: int = 1
    replica: int = 0

    def write(self, step: int, content: dict[str, Any]) -> int:
        """Write the state after ``step``, of which ``content`` (tensors and plain values) is this rank's part.

        Returns:
            bytes of all parts.
        """
        first = distributed.get_rank() == 0
        unfinished = self.folder / f"step-{step}{UNFINISHED}"
        if first:
            self._forget(self._steps()[1:])
            unfinished.mkdir()
        distributed.barrier()
        told = self._write_part(unfinished, content) if self.replica == 0 else None
        written = sorted((each for each in _from_all(told) if each), key=lambda each: each["part"])
        if first:
            with open(unfinished / LIST, "wb") as file:
                file.write(json.dumps({"step": step, "parts": written}, indent=1).encode())
                _flush(file)
            _flush_folder(unfinished)
            unfinished.rename(self.folder / f"step-{step}")
            _flush_folder(self.folder)
        distributed.barrier()
        return sum(each["size"] for each in written)

    def newest(self) -> tuple[Found | None, list[str]]:
        """The newest state that every rank finds whole, and what was wrong with newer ones, which are removed."""
        first = distributed.get_rank() == 0
        steps = _from_first(self._steps() if first else None)
        wrong: list[str] = []
        found = None
        for step in steps:
            parts = _from_first(self._listed(step) if first else None)
            content, problem = self._read(step, parts)
            problems = [each for each in _from_all(problem) if each]
            if not problems:
                found = Found(step, content, sum(each["size"] for each in parts))
                break
            wrong.append(f"The state of step {step} is not used: {problems[0]}.")
        if first:
            self._forget([step for step in steps if found is None or step > found.step])
            for left in self.folder.glob(f"step-*{UNFINISHED}"):
                shutil.rmtree(left)
        distributed.barrier()
        return found, wrong

    def _write_part(self, folder: Path, content: dict[str, Any]) -> dict[str, Any]:
        with open(folder / _file(self.part), "wb") as file:
            hashing = Hashing(file)
            torch.save(content, hashing)
            _flush(file)
        sha256 = hashing.digest.hexdigest()
        return {"part": self.part, "identity": self.identity, "size": hashing.size, "sha256": sha256}

    def _read(self, step: int, parts: list[dict[str, Any]] | None) -> tuple[dict[str, Any], str]:
        """This rank's part of a state, or what is wrong with it."""
        if parts is None:
            return {}, f"its {LIST} is damaged"
        path, told = self.folder / f"step-{step}" / _file(self.part), parts[self.part]
        if told["identity"] != self.identity:
            return {}, f"{path.name} is of another job or of other data"
        if not path.is_file() or path.stat().st_size != told["size"]:
            return {}, f"{path.name} is not whole"
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != told["sha256"]:
                return {}, f"{path.name} is damaged"
            file.seek(0)
            content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return content, ""

    def _listed(self, step: int) -> list[dict[str, Any]] | None:
        """What a state's list says of its parts, None if that cannot be read."""
        try:
            content = json.loads((self.folder / f"step-{step}" / LIST).read_bytes())
            parts: list[dict[str, Any]] = content["parts"]
            numbers = [each["part"] for each in parts if each.keys() == {"part", "identity", "size", "sha256"}]
            complete = content["step"] == step and numbers == list(range(self.parts))
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return parts if complete else None

    def _steps(self) -> list[int]:
        """Steps of the finished states, the newest first."""
        names = [path.name.removeprefix("step-") for path in self.folder.glob("step-*")]
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def _forget(self, steps: list[int]) -> None:
        for step in steps:
            gone = self.folder / f"step-{step}"
            half = gone.with_name(gone.name + UNFINISHED)
            gone.rename(half)  # a kill in the middle leaves no state that lacks files
            shutil.rmtree(half)


class Hashing(io.RawIOBase):
    """A file that digests what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = 0
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:
        """Write and digest."""
        self.digest.update(data)
        written = self.file.write(data)
        self.size += written
        return written


def _file(number: int) -> str:
    return f"part-{number}.pt"


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _from_first(value: Any) -> Any:
    """What rank 0 says."""
    said = [value]
    distributed.broadcast_object_list(said, src=0)
    return said[0]


def _from_all(value: Any) -> list[Any]:
    """What each rank says, in order."""
    said: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(said, value)
    return said
