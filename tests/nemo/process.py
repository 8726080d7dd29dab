"""One NeMo process for a test file, because importing NeMo takes longer than most of its tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run_program(program: str, factory: pytest.TempPathFactory, **variables: str) -> Path:
    """Run a program of the tests with a new folder as its argument, and return the folder.

    Args:
        program: path below the repository.
        factory: makes the folder; the program's temporary files are in ``tmp`` below it.
        variables: further environment variables.
    """
    folder = factory.mktemp(Path(program).stem)
    (folder / "tmp").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp"), **variables}
    environment.pop("OMP_NUM_THREADS", None)  # the job states the number of threads
    process = subprocess.run(
        [sys.executable, ROOT / program, folder], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-8000:]
    return folder
