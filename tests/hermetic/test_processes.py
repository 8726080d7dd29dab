"""Processes and links that a program leaves behind reach nothing after its end; files of its interpreter."""

import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import pytest

from tapeout.graph.deletion import delete
from tapeout.graph.errors import NotAPlainFile
from tapeout.graph.identity.action import Action, Recipe
from tapeout.graph.identity.code import closure
from tapeout.graph.identity.environment import interpreter_paths
from tapeout.graph.launch import sandbox
from tapeout.graph.launch.sandbox import Specification
from tapeout.graph.run.build import build, execute
from tapeout.graph.run.step import Step
from tapeout.graph.workspace import State, Workspace
from tapeout.program import StepFailed
from tests.graph.conftest import PROJECT, Project
from tests.graph.soak import processes

HEAD = """
import argparse, os, subprocess, sys
from pathlib import Path
parser = argparse.ArgumentParser()
parser.add_argument("--params")
parser.add_argument("--output", type=Path)
output = parser.parse_args().output
"""
LEFT = "import sys, time; time.sleep(1.5); open(sys.argv[1], 'a').write('EVIL'); time.sleep(60)"
"""A process with a session of its own, which writes into the output when the step is over."""
DAEMON = f"""
output.write_text("good")
subprocess.Popen([sys.executable, "-c", {LEFT!r}, str(output)], start_new_session=True, stdout=-3, stderr=-3)
"""
LINKS = """
folder = Path(os.environ["TAPEOUT_STATE"]).parent
for name in ("params.json", "action.json", "state", "tmp"):
    path = folder / name
    try:
        path.rename(folder / f"former {name}")
    except OSError:
        continue  # a mount point
    path.symlink_to("{victim}")
sys.exit(3)
"""

DEEP = """
os.chdir(os.environ["TMPDIR"])
for _ in range(1500):
    os.mkdir("d")
    os.chdir("d")
output.write_text("good")
sys.exit({status})
"""
"""Folders in each other, deeper than Python's recursion."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    found = Project(tmp_path / "project")
    found.root.mkdir()
    (found.root / "envs").symlink_to(PROJECT / "envs")
    found.install()
    monkeypatch.chdir(found.root)
    return found


def step(project: Project, program: str) -> Step:
    """Return a step with a program."""
    script = Path("scripts/left.py")
    script.parent.mkdir(exist_ok=True)
    script.write_text(HEAD + program)
    light = project.environment("light").digest
    recipe = Recipe("left.txt", "left", str(script), closure(script, Path()), "light", light, {}, {})
    action = Action(recipe.describe({}))
    Workspace.here().mark(recipe.artifact, State.BUILD, action)
    return Step(Workspace.here(), recipe, action, 1, Path("logs/left.log"))


def test_no_process_outlives_its_step(project: Project) -> None:
    built = step(project, DAEMON)
    execute(built)
    if built.log.read_text().startswith("isolation: mount namespace"):
        time.sleep(2.5)
        assert built.output.read_text() == "good"
    assert not processes(project.root, "program")


def test_links_in_the_scratch_folder_lead_nowhere(project: Project, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    for kind in ("file", "folder"):
        (victim.mkdir if kind == "folder" else victim.touch)()
        for _ in range(2):
            with pytest.raises(StepFailed, match="status 3"):
                execute(step(project, LINKS.replace("{victim}", str(victim))))
        assert not (list(victim.iterdir()) if victim.is_dir() else victim.read_bytes()), kind
        (victim.rmdir if kind == "folder" else victim.unlink)()


def test_deep_folders_in_the_scratch_folder_end_no_later_attempt(project: Project) -> None:
    failing = DEEP.replace("{status}", "3")
    for _ in range(2):
        with pytest.raises(StepFailed, match="status 3"):
            execute(step(project, failing))
    delete(step(project, failing).scratch)  # which pytest cannot
    right = step(project, DEEP.replace("{status}", "0"))
    assert build(right, forced=False).split()[-1].startswith("sha256:") and not right.scratch.exists()


def test_a_pipe_in_place_of_the_journal_of_metrics_is_named_or_replaced(project: Project) -> None:
    """A pipe is a named error if the program resumes, because it then continues its journal."""
    written = step(project, "output.write_text('good')\n")
    written.metrics.parent.mkdir(parents=True)
    os.mkfifo(written.metrics)
    (written.scratch / "state").mkdir(parents=True)
    (written.scratch / "state/saved").touch()
    with pytest.raises(NotAPlainFile, match="metrics"):
        execute(written)
    (written.scratch / "state/saved").unlink()
    execute(written)
    assert not written.metrics.exists()


def test_an_interpreter_shows_nothing_that_lies_beside_it(tmp_path: Path) -> None:
    """A link in a home folder, as ~/bin/python3.11."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "token.txt").write_text("secret")
    python = tmp_path / "bin/python3.11"
    python.symlink_to(Path(os.path.realpath("/proc/self/exe")))
    shown = [Path(path) for path in interpreter_paths(python, tmp_path)]
    assert python in shown and not any(tmp_path.is_relative_to(path) for path in shown)


def test_a_compiler_finds_the_headers_of_the_interpreter() -> None:
    """As that of torch.compile does."""
    headers = Path(sysconfig.get_path("include"))
    assert any(headers.is_relative_to(path) for path in ("/usr", *interpreter_paths(Path(sys.executable))))


def test_packages_beside_a_library_are_hidden() -> None:
    """Those of Debian lie in a folder of another name."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:  # in the namespace /tmp is another folder
        library, specification = Path(name, "lib/python3.11"), Path(name, "specification.json")
        for folder in ("json", "site-packages", "dist-packages"):
            (library / folder).mkdir(parents=True)
            (library / folder / "module.py").touch()
        (Path(name) / "tmp").mkdir()
        shown = Specification([], [], False, {}, [], [str(library)])
        written = shown.write(specification)
        command = [sys.executable, "-I", "-S", sandbox.__file__, *written, "--", "/usr/bin/find", name]
        done = subprocess.run(command, env={"TMPDIR": f"{name}/tmp"}, check=True, capture_output=True, text=True)
        first, *found = done.stdout.splitlines()
        if first.startswith("isolation: mount namespace"):
            assert [path for path in found if path.endswith(".py")] == [f"{library}/json/module.py"]
