"""Which versions are there when a program imports them, and whether they are the expected ones (F2, F8).

Runs in whatever image is configured, before anything else of the project does. So it needs the standard library alone,
and no recent Python: what is too old or missing is to be named, not to end in a traceback.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from typing import Any

from tapeout.errors import TapeoutError

OLDEST_PYTHON = (3, 11)


def _torch() -> Any:
    import torch

    return torch


def _nemo() -> Any:
    import nemo

    return nemo


def _megatron_core() -> Any:
    import megatron.core

    return megatron.core


def _lightning() -> Any:
    import lightning

    return lightning


def _transformers() -> Any:
    import transformers

    return transformers


def _sentencepiece() -> Any:

    return sys.modules["sentencepiece"]


def _safetensors() -> Any:
    import safetensors

    return safetensors


def _numpy() -> Any:
    import numpy

    return numpy


def _pydantic() -> Any:
    import pydantic

    return pydantic


def _yaml() -> Any:
    import yaml

    return yaml


def _typer() -> Any:
    import typer

    return typer


MODULES = {
    "torch": _torch,
    "nemo-toolkit": _nemo,
    "megatron-core": _megatron_core,
    "lightning": _lightning,
    "transformers": _transformers,
    "sentencepiece": _sentencepiece,
    "safetensors": _safetensors,
    "numpy": _numpy,
    "pydantic": _pydantic,
    "pyyaml": _yaml,
    "typer": _typer,
}
"""What the programs import, by the package that brings it; plain imports, so that the step's code can be followed. Of
NeMo the top alone: the whole wants a GPU in a GPU image, and what it stands on is asked by itself."""


class WrongPackages(TapeoutError):
    """The environment holds other versions than the configuration expects."""


def probe(expected: dict[str, str]) -> dict[str, Any]:
    """Import everything and say which versions were found; nothing of the machine.

    Args:
        expected: versions by package; one without a local part (``+cpu``) stands for all builds of it.

    Raises:
        WrongPackages: naming everything that is missing, too old or another version.
    """
    faults = []
    if sys.version_info < OLDEST_PYTHON:
        faults.append(f"Python is {platform.python_version()}, too old for the programs (3.11)")
    packages = {}
    for name, module in MODULES.items():
        try:
            imported = getattr(module(), "__version__", None)
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            faults.append(f"{name} cannot be imported ({type(error).__name__}: {error})")
            continue
        packages[name] = {"imported": imported, "installed": _installed(name)}
    for name in sorted(set(expected) - set(MODULES)):
        packages[name] = {"imported": None, "installed": _installed(name)}
    for name, version in sorted(expected.items()):
        found = packages.get(name, {})
        faults += _compared(name, version, found.get("imported") or found.get("installed")) if name in packages else []
    if faults:
        raise WrongPackages(
            f"The environment is not the expected one: {'; '.join(faults)}.",
            "Correct container.packages or container.image in the config file; without a container: make environments.",
        )
    return {"python": platform.python_version(), "packages": packages, "torch": _build(sys.modules["torch"])}


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _compared(name: str, expected: str, found: str | None) -> list[str]:
    if found is None:
        return [f"{name} is not there, {expected} is expected"]
    same = found == expected or ("+" not in expected and found.partition("+")[0] == expected)
    return [] if same else [f"{name} is {found}, {expected} is expected"]


def _build(torch: Any) -> dict[str, Any]:
    """What torch was built from and with; a build for the CPU has neither CUDA nor NCCL."""
    nccl = torch.cuda.nccl.version() if hasattr(torch._C, "_nccl_version") else None
    return {"commit": torch.version.git_version, "cuda": torch.version.cuda, "nccl": nccl}
