"""A real cluster for the session, and a small project on it."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tapeout.graph.identity.installation import complete
from tests.graph.conftest import PROJECT as SMALL
from tests.graph.conftest import ROOT, Project
from tests.slurm.cluster import Cluster
from tests.slurm.processes import wait_until

PROJECT = Path(__file__).parent / "project"
ALL = ["model", "prepared.txt", "raw.txt", "report.txt"]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for all tests of a process; a test that breaks it repairs it."""
    new = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield new.start()
    finally:
        new.stop()


@dataclass
class Started:
    """A run that was started: its process, and the file of its output."""

    process: "subprocess.Popen[bytes]"
    output: Path

    @property
    def text(self) -> str:
        """Return what the run has printed so far."""
        return self.output.read_text()

    def wait_for(self, text: str) -> None:
        """Wait until the run has printed ``text``."""
        wait_until(lambda: text in self.text or self.process.poll() is not None, f"{text!r} in {self.output}")
        assert text in self.text, self.text

    def finish(self, ok: bool = True) -> str:
        """Wait for the end of the run, which must succeed or must fail; return all that it printed."""
        self.process.wait(timeout=400)
        assert (self.process.returncode == 0) == ok, self.text
        return self.text

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        """Suspend the run and its children, so that they notice nothing of what happens meanwhile."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End the run and its process group as kill -9 does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=60)


@dataclass
class OnCluster(Project):
    """A copy of the small project, run through Slurm."""

    cluster: Cluster
    begun: list[Started] = field(default_factory=list)

    def variables(self) -> dict[str, str]:
        path = f"{self.cluster.root / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, **self.cluster.variables, "PATH": path, "COLUMNS": "200"}

    def command(self, *arguments: str) -> list[str]:
        quick = ("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "2")
        return [sys.executable, "-m", "snakemake", "--profile", "slurm", *quick, *arguments]

    def install(self) -> None:
        """Create the environment of the steps, which has only the standard library."""
        environment = self.environment("light")
        folder = self.root / environment.folder
        venv.create(folder, with_pip=False)
        complete(folder, environment.digest, environment.interpreter)

    def begin(self, *arguments: str) -> "Started":
        """Start a run in a separate process group."""
        output = self.root.parent / f"output-{len(list(self.root.parent.glob('output-*')))}"
        with output.open("w") as written:
            process = subprocess.Popen(
                self.command(*arguments),
                cwd=self.root,
                env=self.variables(),
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.begun.append(Started(process, output))
        return self.begun[-1]

    def end(self) -> None:
        """End the runs and jobs that a failed test left, and start the daemons that it had ended."""
        for run in self.begun:
            if run.process.poll() is None:
                run.kill()
        self.cluster.repair()
        for id_, _, _ in self.jobs():
            self.cluster.ask("scancel", id_, check=False)
        wait_until(lambda: not self.jobs(), "the end of the test's jobs")

    def begin_training(self, steps: int) -> "tuple[Started, str, str]":
        """Start a run with a slow training and wait for some steps; return the run, the training's job and its node."""
        self.fault("slow", "1")
        process = self.begin()
        job = self.training()
        self.steps(steps)
        self.fault("slow", "1000")  # it neither ends nor advances far until the test changes the fault
        return process, job, self.cluster.ask("squeue", "-h", "-j", job, "-o", "%N").strip()

    def fault(self, *words: str) -> None:
        """Set the fault that the training simulates from now on; none without arguments."""
        folder = self.root / "machine" / "faults"
        folder.mkdir(exist_ok=True)
        temporary = folder / "next"
        temporary.write_text(" ".join(words))
        temporary.rename(folder / "train")

    def training(self, state: str = "RUNNING") -> str:
        """Wait until the training's job is in a state, and return its number."""
        found: list[str] = []

        def reached() -> bool:
            found[:] = [id_ for id_, now, comment in self.jobs() if comment == "rule_train" and now == state]
            return bool(found)

        wait_until(reached, f"a training that is {state}")
        return found[0]

    def steps(self, at_least: int) -> None:
        """Wait until the training has completed some steps."""
        wait_until(lambda: self.done() >= at_least, f"step {at_least} of the training")

    def done(self) -> int:
        """Return the completed steps as last reported; a resumed training reports again only after a step."""
        notes = [path.read_text() for path in self.root.glob("work/*/progress.json")]
        return max((int(found[1]) for note in notes if (found := re.search(r'"done":(\d+)', note))), default=0)

    def jobs(self) -> list[tuple[str, str, str]]:
        """Return id, state and comment of this project's pending and running jobs."""
        here = self.cluster.ask("squeue", "--noheader", "--format=%i|%T|%k|%Z").splitlines()
        return [tuple(line.split("|")[:3]) for line in here if line.endswith(f"|{self.root}")]  # type: ignore[misc]


def copied(root: Path) -> None:
    """Copy the project's own files, and those that it shares with the small project of tests/graph."""
    shutil.copytree(PROJECT, root)
    for name in ("lib", "envs"):
        shutil.copytree(SMALL / name, root / name)
    machine = root / "machine"
    machine.mkdir()
    site = root / "config/site.yaml"
    site.write_text(f"container: {{mounts: ['{machine}:{machine}:rw']}}\n{site.read_text()}")


@pytest.fixture
def project(tmp_path: Path, cluster: Cluster) -> Iterator[OnCluster]:
    """The small project, not yet run; its jobs end with the test, and the cluster is intact afterwards."""
    root = tmp_path / "project"
    copied(root)
    for name in ("default", "slurm"):
        shutil.copytree(ROOT / "profiles" / name, root / "profiles" / name)
    (root / "slurm").symlink_to("profiles/slurm")
    shutil.copytree(ROOT / "tapeout", root / "tapeout", ignore=shutil.ignore_patterns("__pycache__"))
    small = OnCluster(root, cluster)
    small.install()
    yield small
    small.end()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the project's results on one machine, without Slurm."""
    root = tmp_path_factory.mktemp("undisturbed") / "project"
    copied(root)
    shutil.copytree(ROOT / "profiles" / "default", root / "profiles" / "default")
    shutil.copytree(ROOT / "tapeout", root / "tapeout", ignore=shutil.ignore_patterns("__pycache__"))
    local = Local(root)
    local.install()
    local.run()
    return local.digests()


class Local(OnCluster):
    """The same project on one machine."""

    def __init__(self, root: Path) -> None:
        Project.__init__(self, root)

    def variables(self) -> dict[str, str]:
        return Project.variables(self)

    def command(self, *arguments: str) -> list[str]:
        return Project.command(self, *arguments)
