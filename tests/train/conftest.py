"""Trainings that several test files examine; one process makes those of a file, because NeMo takes long to import."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.nemo.process import run_program


@pytest.fixture(scope="session")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the trainings of interrupted_trainings.py."""
    return run_program("train.interrupted_trainings", tmp_path_factory, timeout=1500)


@pytest.fixture(scope="session")
def attempts(trainings: Path) -> dict[str, list[dict[str, Any]]]:
    """Return status and output of every attempt by training."""
    results: dict[str, list[dict[str, Any]]] = json.loads((trainings / "results.json").read_text())
    return results


@pytest.fixture(scope="session")
def sft_trainings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the trainings of sft_trainings.py."""
    return run_program("train.sft_trainings", tmp_path_factory, timeout=1500)
