"""Check that the packages that programs import have the expected versions.

Runs in the configured image, before anything else of the project. It therefore needs only the standard library
and no recent Python: a package that is too old or missing must be named, not end in a traceback.
"""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from typing import Any

from tapeout.program import StepFailed

MIN_PYTHON = (3, 11)


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
    import tapeout.encoder.sentencepiece  # noqa: F401  # no other module imports the library

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


def _huggingface_hub() -> Any:
    import huggingface_hub

    return huggingface_hub


def _jinja2() -> Any:
    import jinja2

    return jinja2


def _orjson() -> Any:
    import orjson

    return orjson


def _protobuf() -> Any:
    import google.protobuf

    return google.protobuf


def _pydantic_core() -> Any:
    import pydantic_core

    return pydantic_core


def _rouge_score() -> Any:
    import rouge_score

    return rouge_score


def _tokenizers() -> Any:
    import tapeout.encoder.byte_level  # noqa: F401  # likewise

    return sys.modules["tokenizers"]


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
    "huggingface-hub": _huggingface_hub,
    "jinja2": _jinja2,
    "orjson": _orjson,
    "protobuf": _protobuf,
    "pydantic-core": _pydantic_core,
    "rouge-score": _rouge_score,
    "tokenizers": _tokenizers,
}
"""Imports of the programs, by the package that provides them; plain statements, because a step's code is traced. Of
NeMo only the top package: the rest needs a GPU in a GPU image, and its dependencies are listed here themselves."""

OPTIONAL = {"cudnn": "nvidia-cudnn-frontend", "pyarrow": "pyarrow"}
"""Modules that the programs use where an image has them, and their packages."""


def probe(expected: dict[str, str]) -> dict[str, Any]:
    """Import everything and return the versions, without anything specific to the machine.

    Raises:
        StepFailed: names everything that is missing, too old or another version.
    """
    problems = []
    if sys.version_info < MIN_PYTHON:
        problems.append(f"Python is {platform.python_version()}, too old for the programs (3.11)")
    packages = {}
    for name, module in MODULES.items():
        try:
            imported = getattr(module(), "__version__", None)
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            problems.append(f"{name} cannot be imported ({type(error).__name__}: {error})")
            continue
        packages[name] = {"imported": imported, "installed": _installed(name)}
    for name in sorted({*expected, *OPTIONAL.values()} - set(MODULES)):
        packages[name] = {"imported": None, "installed": _installed(name)}
    for name, version in sorted(expected.items()):
        if name in packages:
            problems += _compare(name, version, packages[name]["imported"] or packages[name]["installed"])
    if problems:
        raise StepFailed(
            f"The environment is not the expected one: {'; '.join(problems)}.",
            "Correct container.packages or container.image in the config file; without a container: make environments.",
        )
    return {"python": platform.python_version(), "packages": packages, "torch": _build(sys.modules["torch"])}


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _compare(name: str, expected: str, actual: str | None) -> list[str]:
    if actual is None:
        return [f"{name} is not installed, {expected} is expected"]
    same = actual == expected or ("+" not in expected and actual.partition("+")[0] == expected)
    return [] if same else [f"{name} is {actual}, {expected} is expected"]


def _build(torch: Any) -> dict[str, Any]:
    """Return the commit, CUDA and NCCL versions of a build of torch; a build for the CPU has neither of the latter."""
    nccl = torch.cuda.nccl.version() if hasattr(torch._C, "_nccl_version") else None
    return {"commit": torch.version.git_version, "cuda": torch.version.cuda, "nccl": nccl}
