"""A small project of five steps, run with the real content layer and the real Snakemake."""

import atexit
import compileall
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from unittest.mock import patch

import pytest

from tapeout.graph.identity.environment import Environment, read_environment
from tapeout.graph.identity.installation import MARK, complete
from tapeout.graph.store.roots import Root
from tapeout.graph.store.store import Store
from tests.starter import run_module

ROOT = Path(__file__).resolve().parents[2]
PROJECT = Path(__file__).parent / "project"


@dataclass
class Run:
    """Outcome of one Snakemake run."""

    status: int
    text: str
    built: list[str] = field(init=False)
    restored: list[str] = field(init=False)
    cut_off: list[str] = field(init=False)

    def __post_init__(self) -> None:
        # not anchored: Snakemake writes its line breaks separately, so that our lines may follow on the same line
        self.built = sorted(re.findall(r"\+ (\S+)  (?:building|built again)", self.text))
        self.restored = sorted(re.findall(r"= (\S+)  restored", self.text))
        self.cut_off = sorted(re.findall(r"= (\S+)  unchanged", self.text))

    @property
    def jobs(self) -> list[str]:
        """Rules of the jobs that Snakemake started, each of which would have been submitted to a cluster."""
        return sorted(re.findall(r"^(?:local)?rule (?!all:)(\w+):$", self.text, flags=re.MULTILINE))

    @property
    def nothing_done(self) -> bool:
        """Whether Snakemake started no job of any kind."""
        return self.status == 0 and "Nothing to be done" in self.text


@dataclass
class Project:
    """A copy of the project."""

    root: Path

    def path(self, name: str) -> Path:
        return self.root / name

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text, which must exist."""
        text = self.path(name).read_text()
        assert old in text
        self.path(name).write_text(text.replace(old, new))

    def install(self) -> None:
        """Create the environments of the locks: real ones, with only the standard library."""
        for name in ("light", "heavy"):
            environment = read_environment(name, self.root)
            folder = self.root / environment.folder
            if not (folder / MARK).exists():
                venv.create(folder, with_pip=False)
                complete(folder, environment.digest, environment.interpreter)

    def environment(self, name: str) -> Environment:
        return read_environment(name, self.root)

    def share(self) -> Path:
        """Return a folder that the site shows to all programs, which see nothing else of the project."""
        folder = self.path("shared")
        folder.mkdir()
        self.edit("config.yaml", "launch: {}", f"launch: {{mounts: ['{folder}:{folder}:rw']}}")
        return folder

    def variables(self) -> dict[str, str]:
        return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def command(self, *arguments: str) -> list[str]:
        # all jobs may run at once, whatever the test machine's cores; quiet, except for what Snakemake decides
        return [sys.executable, "-m", "snakemake", "--cores", "4", "--quiet=host", *arguments]

    def run(self, *arguments: str, ok: bool = True) -> Run:
        done = run_module(self.command(*arguments), self.root, self.variables(), timeout=300)
        run = Run(done.returncode, done.stdout + done.stderr)
        assert (run.status == 0) == ok, run.text
        return run

    def tapeout(self, *arguments: str) -> tuple[int, str]:
        """Return exit code and output of ``tapeout ARGUMENTS``."""
        command = [sys.executable, "-m", "tapeout.cli", *arguments]
        done = run_module(command, self.root, {**self.variables(), "COLUMNS": "200"}, timeout=300)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout

    def digests(self) -> dict[str, str]:
        """Return the digest of every artifact, by name."""
        manifests = [json.loads(path.read_bytes()) for path in sorted(self.root.glob("results/**/*.manifest.json"))]
        return {manifest["artifact"]: manifest["digest"] for manifest in manifests}


ALL = ["formatted.txt", "model", "notes/de.txt", "notes/en.txt", "raw.txt", "report.txt"]


def make_project(root: Path) -> Project:
    """Copy the project into the new folder ``root``."""
    shutil.copytree(PROJECT, root)
    shutil.copytree(ROOT / "profiles" / "default", root / "profiles" / "default")
    shutil.copytree(ROOT / "tapeout", root / "tapeout", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(root / "tapeout", quiet=1)  # once, not in every process of every copy
    project = Project(root)
    project.install()
    return project


def wait_for(path: Path, seconds: float = 300.0) -> None:
    """Wait until a path exists."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


def begin_slow_model(project: Project) -> "subprocess.Popen[str]":
    """Start a run whose model step takes three seconds, and wait until that step runs."""
    project.edit("config.yaml", "pause: 0", "pause: 3")
    process = subprocess.Popen(
        project.command(),
        cwd=project.root,
        env=project.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    wait_for(project.path("logs/model.log"))
    return process


@cache
def _template(built: bool) -> Project:
    """Return a project of which the tests of this session get copies: a first run takes longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="tapeout-project-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    project = _copy(_template(False), folder / "project") if built else make_project(folder / "project")
    if built:
        with patch.dict(os.environ):
            for name in [name for name in os.environ if name.startswith("TAPEOUT_")]:
                del os.environ[name]
            assert project.run().built == ALL
        shutil.rmtree(project.path("store/roots"))  # else the store of a copy would keep what the template uses
    return project


def _copy(project: Project, root: Path) -> Project:
    """Copy a project with file times, which identify unchanged artifacts, and with hard links into its store."""
    subprocess.run(["cp", "-a", project.root, root], check=True)
    return Project(root)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The project, not yet run."""
    return _copy(_template(built=False), tmp_path / "project")


@pytest.fixture
def built(tmp_path: Path) -> Project:
    """The project after its first run."""
    project = _copy(_template(built=True), tmp_path / "project")
    Root.of(Store(project.path("store")), project.path("results"), project.path("runs")).register()
    return project
