"""What several test files use: trainings that one process makes, because NeMo takes long to import."""

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
    """Folder of the trainings of interrupted.py."""
    folder = tmp_path_factory.mktemp("interrupted")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAPEOUT_")}
    done = subprocess.run(
        [sys.executable, ROOT / "tests/nemo/interrupted.py", folder],
        env={**environment, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-8000:]
    return folder


@pytest.fixture(scope="session")
def attempts(trainings: Path) -> dict[str, list[dict[str, Any]]]:
    """Status and words of every attempt."""
    answer: dict[str, list[dict[str, Any]]] = json.loads((trainings / "results.json").read_text())
    return answer
