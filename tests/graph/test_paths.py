"""Paths of folders: refused by name before anything starts, by every entry point."""

import subprocess
import sys
from pathlib import Path

import pytest

from tapeout.graph.errors import InvalidFolder
from tapeout.graph.paths import check_project
from tapeout.graph.workspace import Workspace

ROOT = Path(__file__).parents[2]
WORKS = "a 'b' \"c\" $d %e #f ;g *h é [i] \\k &l `m` ~n ?o |p <q> =r !s (t) \u3000設"


@pytest.mark.parametrize("name", ["a:b", "a{b", "b}", "new\nline", "end\n", "tab\t", "bell\a", "latin\udce9"])
def test_path_that_a_program_cannot_take(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    with pytest.raises(InvalidFolder):
        Workspace.here()
    monkeypatch.chdir(tmp_path)
    if name.isprintable():  # a store is in no list or pattern
        return
    with pytest.raises(InvalidFolder, match="TAPEOUT_STORE"):
        check_project({"TAPEOUT_STORE": str(tmp_path / name)})


def test_other_paths_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / WORKS).mkdir()
    monkeypatch.chdir(tmp_path / WORKS)
    check_project({"TAPEOUT_STORE": f"/{WORKS}/a:b{{c}}"})


def test_make_and_the_command_line_begin_with_the_check(tmp_path: Path) -> None:
    project = tmp_path / "a:b"
    project.mkdir()
    for name in ("Makefile", "Snakefile", "bin", "envs", "tapeout"):
        (project / name).symlink_to(ROOT / name)
    for command in (["make", f"PYTHON={sys.executable}", "report"], [sys.executable, "-m", "tapeout.cli", "status"]):
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300)
        assert done.returncode and done.stderr.startswith(f"InvalidFolder: The project's folder {project} has the")
        assert "Traceback" not in done.stderr and not (project / ".envs").exists()
