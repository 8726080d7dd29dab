"""Paths of folders: refused by name before anything starts, by every entry point."""

import subprocess
import sys
from pathlib import Path

import pytest

from tapeout.graph.errors import InvalidFolder, InvalidRule
from tapeout.graph.paths import check_artifact, check_project
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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *(
            (f"a/{name}", "belong to the content layer")
            for name in ("questions.manifest.json", "x.sealed", "x.resolved")
        ),
        ("x.action.json/y", "belong to the content layer"),
        *((name, "empty, a dot, or .graph") for name in ("a//b", "../a", "./a", "a/", ".graph/x", "a/.graph")),
        *((name, "not printable") for name in ("a\tb/c", "a\u202eb", "a/\udce9", "a\x1b[31m")),
        ("é" * 108, "it has 216 bytes"),
        ("/".join("a" * 9 for _ in range(25)), "it has 249 bytes"),
    ],
)
def test_name_that_no_artifact_can_have(name: str, reason: str) -> None:
    with pytest.raises(InvalidRule, match=reason):
        check_artifact(name)


def test_other_names_of_artifacts() -> None:
    for name in ("sft/model", "corpus/words.json", "é" * 107, "a/.hidden", "manifest.json", "x.sealed.txt", "設/b c"):
        check_artifact(name)


def test_make_and_the_command_line_begin_with_the_check(tmp_path: Path) -> None:
    project = tmp_path / "a:b"
    project.mkdir()
    for name in ("Makefile", "Snakefile", "bin", "envs", "tapeout"):
        (project / name).symlink_to(ROOT / name)
    for command in (["make", f"PYTHON={sys.executable}", "report"], [sys.executable, "-m", "tapeout.cli", "status"]):
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300)
        assert done.returncode and done.stderr.startswith(f"InvalidFolder: The project's folder {project} has the")
        assert "Traceback" not in done.stderr and not (project / ".envs").exists()
