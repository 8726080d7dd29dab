"""Full disks at random moments: a run ends by itself with a named error, and continues when there is space again.

``python -m tests.graph.full_disk --points 30`` (``make soak FULL=30``). Before one random file operation of a process
of the run, a small file system is filled to the last byte: that of the store, of ``results/``, ``work/`` or ``logs/``,
each on its own or all four, or the one that holds the whole project. The file systems are mounted in a mount namespace
of this program's own, which needs no privilege on most systems. Where a system refuses that, the process gets a limit
of the size of files, under which it can write none (``RLIMIT_FSIZE``); some points use that everywhere.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tapeout.graph.store.store import Store
from tapeout.graph.upkeep.verify import verify
from tapeout.graph.workspace import Workspace
from tests.graph.conftest import Project, make_project
from tests.graph.soak import SOAKED, target_of

LIMIT = 60.0
"""Seconds after which a run counts as hanging."""
APART = ("store", "results", "work", "logs")
"""Folders that have small file systems of their own."""
SIZE = {"apart": 1 << 20, "together": 64 << 20}
"""Bytes of a small file system, and of the one of a whole project."""
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
TARGET = "model"


def mount(folder: Path, size: int) -> None:
    """Mount an empty file system on a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", folder], check=True)


def can_mount() -> bool:
    """Return whether this system allows mounts in a namespace of one's own."""
    probe = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


class FullDisk:
    """Projects whose disks become full.

    Args:
        folder: empty folder for the projects.
        seed: of the random numbers.
        mounts: whether this process may mount file systems.
    """

    def __init__(self, folder: Path, seed: int, mounts: bool) -> None:
        self.draw = random.Random(seed)
        self.folder, self.token = folder, folder / "token"
        self.projects = {"apart": folder / "apart", "together": folder / "together"} if mounts else {}
        for name, root in self.projects.items():
            if name == "together":
                mount(root.parent / name, SIZE[name])
            self.projects[name] = root / "project"
        template = make_project(folder / "template")
        self.all = {name: Project(root) for name, root in {**self.projects, "limited": folder / "limited"}.items()}
        for project in self.all.values():
            project.root.parent.mkdir(exist_ok=True)
            subprocess.run(["cp", "-a", template.root, project.root], check=True)
        for name in APART if mounts else ():
            mount(self.all["apart"].path(name), SIZE["apart"])
        self.source = 0
        self.found: Counter[str] = Counter()

    def operations(self) -> dict[tuple[str, str], int]:
        """Count the operations by process and phase in a run that builds, and in one that restores."""
        record = self.folder / "record"
        record.mkdir()
        project = self.all["limited"]
        for source in (0, 1, 0):
            self.edit(project, source)
            status, text = self.run(project, {"record": str(record)})
            assert status == 0, text
        most: dict[tuple[str, str], int] = {}
        for path in sorted(record.iterdir()):
            for phase, count in json.loads(path.read_bytes()).items():
                key = (path.name.partition(".")[0], phase)
                most[key] = max(count, most.get(key, 0))
        return most

    def edit(self, project: Project, source: int) -> None:
        """Give a project other words."""
        project.path("src/data.txt").write_text(f"b\na\nc{source}\n")

    def run(self, project: Project, hook: dict[str, object]) -> tuple[int, str]:
        """Run; return status and output, which goes through a pipe because no disk may hold it.

        Raises:
            AssertionError: it hangs.
        """
        variables = {**project.variables(), "PYTHONPATH": str(SOAKED), "SOAK": json.dumps(hook)}
        run = subprocess.Popen(
            project.command(TARGET),
            cwd=project.root,
            env=variables,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            text, _ = run.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            raise AssertionError(f"A run of {project.root} hangs:\n{run.communicate()[0]}") from None
        return run.returncode, text

    def point(self, kind: str, phase: str, count: int) -> str:
        """Fill a disk at one point; return where, what was full, and how the run ended."""
        name = self.draw.choice(sorted(self.all))
        project = self.all[name]
        self.source += 1
        self.edit(project, self.source)
        folders = {
            "apart": [self.draw.choice(APART)] if self.draw.random() < 0.8 else list(APART),
            "together": [""],
            "limited": [],
        }[name]
        nth = self.draw.randint(1, count)
        self.token.unlink(missing_ok=True)
        target = target_of(kind, phase, nth, self.token) | {"fill": [str(project.path(folder)) for folder in folders]}
        status, text = self.run(project, target)
        happened = self.token.exists()
        where = f"{kind} {phase} {nth}: {name} {' '.join(folders)}"
        assert "Traceback" not in text, f"{where}\n{text}"
        if status:
            assert "DiskFull: " in text or "NotWritable: " in text, f"{where}\n{text}"
        for folder in folders:
            project.path(folder).joinpath("filler").unlink(missing_ok=True)
        if status:
            again, more = self.run(project, {})
            text = f"{text}\n---\n{more}"
            assert again == 0, f"{where}\n{text}"
        self.check(project, f"{where}\n{text}")
        return f"{where}: status {status}" + ("" if happened else ", not reached")

    def check(self, project: Project, text: str) -> None:
        """Check that everything is right and nothing was lost."""
        words = project.path("results/formatted.txt").read_text()
        assert words == f"a\nb\nc{self.source}\n", text
        assert project.path(f"results/{TARGET}/weights.txt").read_text() == f"{words}3", text
        workspace = Workspace(Store(project.path("store")), project.path("results"), project.path("work"))
        assert verify(workspace, [], deep=True) == [], text
        assert not project.path("store/quarantine").exists(), text
        assert not project.path("work/set_aside").exists(), text


def main() -> None:
    """Fill disks."""
    parser = argparse.ArgumentParser(prog="python -m tests.graph.full_disk", description=main.__doc__)
    parser.add_argument("--points", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside and can_mount():
        os.execvp(NAMESPACE[0], [*NAMESPACE, sys.executable, "-m", "tests.graph.full_disk", *sys.argv[1:], "--inside"])
    folder = Path(tempfile.mkdtemp(prefix="full-"))
    full = FullDisk(folder, arguments.seed, arguments.inside)
    operations = full.operations()
    for number in range(arguments.points):
        kind, phase = full.draw.choice(sorted(operations))
        begun = time.monotonic()
        print(
            f"{number}: {full.point(kind, phase, operations[kind, phase])} ({time.monotonic() - begun:.1f} s)",
            flush=True,
        )
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
