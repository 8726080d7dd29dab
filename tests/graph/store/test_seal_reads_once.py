"""Sealing reads each byte of an artifact once, by the kernel's count of what the runner reads."""

import json
from pathlib import Path

import pytest

from tests.graph.conftest import Project

SIZE = 128 * 2**20
COUNT = """
import atexit, json, os, sys
from pathlib import Path

def count():
    if Path(sys.argv[0]).name == "runner.py" and "scripts/model.py" in sys.argv:
        lines = Path("/proc/self/io").read_text().splitlines()
        Path("{place}").write_text(json.dumps(dict(line.split(": ") for line in lines)))

atexit.register(count)
"""


@pytest.mark.parametrize("files", [1, 8], ids=["one large file", "several files"])
def test_runner_reads_each_output_byte_once(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int
) -> None:
    counted = tmp_path / "counting" / "io.json"
    counted.parent.mkdir()
    # every Python of the run imports this at its start; the runner writes the kernel's counters at its end
    (counted.parent / "sitecustomize.py").write_text(COUNT.format(place=counted))
    monkeypatch.setenv("PYTHONPATH", str(counted.parent))
    large = f"for number in range({files}):\n    (output / f'{{number}}.bin').write_bytes(bytes({SIZE // files}))\n"
    project.edit("scripts/model.py", '(output / "weights.txt")', f'{large}(output / "weights.txt")')
    assert "model" in project.run().built
    # the kernel adds what the program, a child that has ended, read: Python's own modules
    read = int(json.loads(counted.read_text())["rchar"])
    assert SIZE <= read <= 1.1 * SIZE
    assert project.path("results/model/0.bin").stat().st_size == SIZE // files
