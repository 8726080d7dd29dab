"""Read files of ``torch.save`` of any content: tensors as they are, every other object as a stub.

For comparisons, which show what a checkpoint contains and hand none of it to another program. What a model is made from
is read with ``tapeout.guard.saved``, which refuses such objects.
"""

import io
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from tapeout.guard import pickles
from tapeout.guard.errors import refuse
from tapeout.guard.saved import REBUILD
from tapeout.guard.zip import open_zip


def load_inert(path: Path, what: str) -> Any:
    """Return the content of a file of ``torch.save``, with its tensors mapped into memory.

    Raises:
        UnusableModel: it is damaged, or is a TorchScript program.
        Exception: see ``pickles.DAMAGE``.
    """
    _check(path, what)
    return torch.load(str(path), map_location="cpu", pickle_module=_stubs(), weights_only=False, mmap=True)


def load_part(path: Path, offset: int, length: int, what: str) -> Any:
    """Return the content of a file of ``torch.save`` that is a part of another file.

    Raises:
        UnusableModel: see ``load_inert``.
        Exception: see ``pickles.DAMAGE``.
    """
    with open(path, "rb") as file:
        file.seek(offset)
        data = io.BytesIO(file.read(length))
    _check(data, what)
    data.seek(0)
    return torch.load(data, map_location="cpu", pickle_module=_stubs(), weights_only=False)


def _check(file: Path | io.BytesIO, what: str) -> None:
    archive, members = open_zip(file, what)
    archive.close()
    if any(member.name.endswith("/constants.pkl") for member in members):
        raise refuse(what, "is a TorchScript program, which is not read")
    archive, _ = open_zip(file, what, stored=True)
    archive.close()


def _stubs() -> ModuleType:
    """Return a module like ``pickle`` whose unpickler makes nothing but tensors, plain containers and stubs."""
    module = ModuleType("inert")
    vars(module)["Unpickler"] = pickles.unpickler(_torch)
    return module


def _torch(module: str, name: str) -> Any:
    """Return functions and types that only build a tensor; None for all others."""
    if (module, name) in REBUILD:
        return getattr(torch._utils, name)
    if module in ("torch", "torch.storage") and name == "UntypedStorage":
        return torch.UntypedStorage
    value = getattr(torch, name, None) if module == "torch" else None
    return value if isinstance(value, torch.dtype) else None
