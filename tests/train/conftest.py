"""Trainings that several test files examine; one process makes those of a file, because NeMo takes long to import."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run_script(folder: Path, name: str, *arguments: str) -> Path:
    """Run a script of this folder, which trains in the given folder; return the folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAPEOUT_")}
    process = subprocess.run(
        [sys.executable, ROOT / "tests/train" / name, folder, *arguments],
        env={**environment, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-8000:]
    return folder


@pytest.fixture(scope="session")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the trainings of interrupted_trainings.py."""
    return run_script(tmp_path_factory.mktemp("interrupted"), "interrupted_trainings.py")


@pytest.fixture(scope="session")
def attempts(trainings: Path) -> dict[str, list[dict[str, Any]]]:
    """Return status and output of every attempt by training."""
    results: dict[str, list[dict[str, Any]]] = json.loads((trainings / "results.json").read_text())
    return results
