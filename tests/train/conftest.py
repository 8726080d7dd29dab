"""Trainings that several test files examine; one process makes them, because NeMo takes long to import."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the trainings of interrupted_trainings.py."""
    folder = tmp_path_factory.mktemp("interrupted")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAPEOUT_")}
    process = subprocess.run(
        [sys.executable, ROOT / "tests/train/interrupted_trainings.py", folder],
        env={**environment, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-8000:]
    return folder


@pytest.fixture(scope="session")
def attempts(trainings: Path) -> dict[str, list[dict[str, Any]]]:
    """Return status and output of every attempt by training."""
    results: dict[str, list[dict[str, Any]]] = json.loads((trainings / "results.json").read_text())
    return results
