"""Checkpoints of a training run on disk, each complete or absent.

A checkpoint is a folder ``step-120`` with its parts and ``checkpoint.json``, which has their sizes and SHA-256 and a
digest of the training. It is written under another name, flushed to disk and then renamed, so that it is complete or
absent however the process ends. The newest two are retained, because one may have been damaged since. A part is the
content of one rank: the checkpoints of an action all have the same layout. Replicas have the same content, so the first
of them writes for all.
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

INDEX = "checkpoint.json"
UNFINISHED = ".tmp"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that every rank could read.

    Attributes:
        step: step after which it was written.
        content: this rank's part.
        size: bytes of all parts.
    """

    step: int
    content: dict[str, Any]
    size: int


@dataclass(frozen=True)
class CheckpointStore:
    """Checkpoints of one training run; all ranks call each method together.

    Attributes:
        folder: folder of the checkpoints, on a disk that all ranks see.
        training: digest of the job and of this rank's data, which a usable checkpoint must have.
        part: index of this rank's part of the model.
        parts: number of parts.
        replica: index of this rank among those with the same part; 0 writes it.
    """

    folder: Path
    training: str
    part: int = 0
    parts: int = 1
    replica: int = 0

    def write(self, step: int, content: dict[str, Any]) -> int:
        """Write the checkpoint after ``step``.

        Args:
            step: number of the step.
            content: this rank's part, of tensors and plain values.

        Returns:
            bytes of all parts.
        """
        first = distributed.get_rank() == 0
        unfinished = self.folder / f"step-{step}{UNFINISHED}"
        if first:
            self._remove(self._steps()[1:])
            unfinished.mkdir()
        distributed.barrier()
        entry = self._write_part(unfinished, content) if self.replica == 0 else None
        entries = sorted((entry for entry in _gather(entry) if entry), key=lambda entry: entry["part"])
        if first:
            with open(unfinished / INDEX, "wb") as file:
                file.write(json.dumps({"step": step, "parts": entries}, indent=1).encode())
                _flush(file)
            _flush_folder(unfinished)
            unfinished.rename(self.folder / f"step-{step}")
            _flush_folder(self.folder)
        distributed.barrier()
        return sum(entry["size"] for entry in entries)

    def newest(self) -> tuple[Checkpoint | None, list[str]]:
        """Find the newest checkpoint that every rank can read, and remove the newer ones.

        Returns:
            the checkpoint, and a message about each newer one.
        """
        first = distributed.get_rank() == 0
        steps = _broadcast(self._steps() if first else None)
        messages: list[str] = []
        checkpoint = None
        for step in steps:
            entries = _broadcast(self._index(step) if first else None)
            content, problem = self._read(step, entries)
            problems = [problem for problem in _gather(problem) if problem]
            if not problems:
                checkpoint = Checkpoint(step, content, sum(entry["size"] for entry in entries))
                break
            messages.append(f"The checkpoint of step {step} is not used: {problems[0]}.")
        if first:
            self._remove([step for step in steps if checkpoint is None or step > checkpoint.step])
            for unfinished in self.folder.glob(f"step-*{UNFINISHED}"):
                shutil.rmtree(unfinished)
        distributed.barrier()
        return checkpoint, messages

    def _write_part(self, folder: Path, content: dict[str, Any]) -> dict[str, Any]:
        with open(folder / _file_name(self.part), "wb") as file:
            digesting = DigestingFile(file)
            torch.save(content, digesting)
            _flush(file)
        sha256 = digesting.digest.hexdigest()
        return {"part": self.part, "training": self.training, "size": digesting.size, "sha256": sha256}

    def _read(self, step: int, entries: list[dict[str, Any]] | None) -> tuple[dict[str, Any], str]:
        """Return this rank's part of a checkpoint, and a problem that prevents its use, or an empty string."""
        if entries is None:
            return {}, f"its {INDEX} is damaged"
        path, entry = self.folder / f"step-{step}" / _file_name(self.part), entries[self.part]
        if entry["training"] != self.training:
            return {}, f"{path.name} is of another job or of other data"
        if not path.is_file() or path.stat().st_size != entry["size"]:
            return {}, f"{path.name} is incomplete"
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != entry["sha256"]:
                return {}, f"{path.name} is damaged"
            file.seek(0)
            content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return content, ""

    def _index(self, step: int) -> list[dict[str, Any]] | None:
        """Return the entries of a checkpoint's index, None if it is damaged or lacks a part."""
        try:
            content = json.loads((self.folder / f"step-{step}" / INDEX).read_bytes())
            entries: list[dict[str, Any]] = content["parts"]
            numbers = [entry["part"] for entry in entries if entry.keys() == {"part", "training", "size", "sha256"}]
            complete = content["step"] == step and numbers == list(range(self.parts))
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return entries if complete else None

    def _steps(self) -> list[int]:
        """Return the steps of the complete checkpoints, the newest first."""
        names = [path.name.removeprefix("step-") for path in self.folder.glob("step-*")]
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def _remove(self, steps: list[int]) -> None:
        for step in steps:
            folder = self.folder / f"step-{step}"
            unfinished = folder.with_name(folder.name + UNFINISHED)
            folder.rename(unfinished)  # if the process is killed here, no checkpoint lacks files
            shutil.rmtree(unfinished)


class DigestingFile(io.RawIOBase):
    """File that computes size and SHA-256 of what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        """Wrap an open file."""
        self.file = file
        self.size = 0
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Write bytes and update size and digest."""
        self.digest.update(data)
        written = self.file.write(data)
        self.size += written
        return written


def _file_name(part: int) -> str:
    return f"part-{part}.pt"


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _broadcast(value: Any) -> Any:
    """Return the value of rank 0."""
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def _gather(value: Any) -> list[Any]:
    """Return the values of all ranks, in their order."""
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values
