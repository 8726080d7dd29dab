"""One process for the NeMo programs of a test file, forked from one that has imported NeMo, which takes long."""

import os
import sys
from pathlib import Path

import pytest

from tests.starter import NEMO, run_module

ROOT = Path(__file__).parents[2]


def run_program(
    module: str,
    factory: pytest.TempPathFactory,
    *arguments: str,
    timeout: float = 1200,
    imported: tuple[str, ...] = NEMO,
    **variables: str,
) -> Path:
    """Run a program of the tests with a new folder as its first argument, and return the folder.

    Args:
        module: module below ``tests``.
        factory: makes the folder; the program's temporary files are in ``tmp`` below it.
        arguments: further arguments.
        timeout: seconds that it may take.
        imported: what the process that starts it has imported; nothing if the program needs torch without the shim.
        variables: further environment variables.
    """
    folder = factory.mktemp(module.rpartition(".")[2])
    (folder / "tmp").mkdir()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TAPEOUT_")}
    environment = {**inherited, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp"), **variables}
    command = [sys.executable, "-m", f"tests.{module}", str(folder), *arguments]
    process = run_module(command, ROOT, environment, timeout, imported)
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-8000:]
    return folder
