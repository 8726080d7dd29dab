"""G18: a run whose disk becomes full at any moment ends by itself with a named error, and continues later."""

import subprocess
import sys
from pathlib import Path


def test_g18_full_disks_at_many_moments() -> None:
    command = [sys.executable, "-m", "tests.graph.full_disk", "--runs", "4", "--operations", "40", "--seed", "1"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0 and done.stdout.endswith("all equal\n"), done.stdout + done.stderr
