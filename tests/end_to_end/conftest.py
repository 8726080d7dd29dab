"""Copies of the project with small local sources, run by the real Snakemake with real NeMo."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tapeout.graph.identity.environment import read_environment
from tests.end_to_end import forked_steps
from tests.starter import run_module

ROOT = Path(__file__).resolve().parents[2]
FINISHED = re.compile(r"✓ (\S+)  \d")
ALONE = ("inspected=1", "pretraining_documents=1", "pretraining_near=1")
"""Rules that would start processes for each small set; tests of their programs compare numbers of processes."""


@dataclass
class Run:
    """Outcome of one run."""

    status: int
    text: str

    @property
    def built(self) -> list[str]:
        return sorted(FINISHED.findall(self.text))

    @property
    def nothing_done(self) -> bool:
        return self.status == 0 and "nothing to do" in self.text and "Nothing to be done" in self.text


@dataclass
class Clone:
    """A copy of the project in a separate folder, with the environments of this one."""

    root: Path

    def run(self, *arguments: str, ok: bool = True) -> Run:
        options = ["--configfile", "tiny/config.yaml", "--quiet=host", "--set-threads", *ALONE]
        command = [sys.executable, "-m", "snakemake", *arguments, *options]
        variables = {**os.environ, "TAPEOUT_DOWNLOADS": str(self.root / "downloads")}
        done = run_module(command, self.root, variables, timeout=1200)
        run = Run(done.returncode, done.stdout + done.stderr)
        assert (run.status == 0) == ok, run.text
        return run

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    def digests(self) -> dict[str, str]:
        manifests = [json.loads(path.read_bytes()) for path in sorted(self.root.glob("results/**/*.manifest.json"))]
        return {manifest["artifact"]: manifest["digest"] for manifest in manifests}


def clone(folder: Path, new_processes: bool = False) -> Clone:
    """Copy what git would commit, and write the small sources.

    Steps with NeMo are forks of a process that has imported it (forked_steps.py), or ``new_processes`` as for a user.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = ROOT / name, folder / name
        if source.is_file() or source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    (folder / ".envs").symlink_to(ROOT / ".envs")
    if not new_processes:
        forked_steps.use(folder)
    data = read_environment("data", ROOT)
    python = ROOT / data.folder / "bin" / "python"
    subprocess.run([python, "-m", "tests.end_to_end.material", "tiny"], cwd=folder, check=True)
    return Clone(folder)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store for clones of several tests, in which the first of them builds what all have upstream."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def shared_store(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, used by all runs of the test."""
    monkeypatch.setenv("TAPEOUT_STORE", str(store))
    return store


@pytest.fixture
def fresh(tmp_path: Path) -> Clone:
    """A clone in which nothing was run."""
    return clone(tmp_path / "clone")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, Run]:
    """A clone with a finished report, and the outcome of its first run. Tests must not change it."""
    made = clone(tmp_path_factory.mktemp("finished") / "clone", new_processes=True)
    return made, made.run("eval_report")
