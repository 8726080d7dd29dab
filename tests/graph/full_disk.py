"""Full disks at random moments: a run ends by itself with a named error, and continues when there is space again.

``python -m tests.graph.full_disk`` (``make soak``, with ``FULL=100`` for more). Before one random file operation of a
process of the run, a small file system is filled to the last byte: that of the store, of ``results/``, ``work/`` or
``logs/``, each on its own or all four, or the one that holds the whole project. The file systems are mounted in a mount
namespace of this program's own, which needs no privilege on most systems. Where a system refuses that, the process gets
a limit of the size of files, under which it can write none (``RLIMIT_FSIZE``); some points use that everywhere.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from tapeout.graph import named_runs
from tapeout.graph.errors import NotWritable
from tapeout.graph.files import report_disk_errors
from tapeout.graph.upkeep.verify import verify
from tapeout.graph.workspace import State, Workspace
from tapeout.program import DiskFull
from tests.graph.conftest import Project, make_project
from tests.graph.folders import folder, make
from tests.graph.soak import SOAKED, target_of
from tests.graph.soaked.sitecustomize import FILLER, Hook

LIMIT = 300.0
"""Seconds after which a run counts as hanging, on a busy machine."""
APART = ("store", "results", "work", "logs")
"""Folders that have small file systems of their own."""
SIZE = {"apart": 64 << 20, "together": 64 << 20}
"""Bytes of the file systems that hold a whole project."""
SMALL = 1 << 20
"""Bytes of the file system of one folder."""
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
NAMED = re.compile("(DiskFull|NotWritable): ")
NAMED_STATUS = 3
POINTS_PER_RESULT = 3
ARTIFACTS: dict[str, str | dict[str, str]] = {"text": "a" * 9000, "folder": {"in/a": "a", "in/b": "b" * 9000, "c": ""}}


def mount(folder: Path, size: int) -> None:
    """Mount an empty file system on a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", folder], check=True)


def can_mount() -> bool:
    """Return whether this system allows mounts in a namespace of one's own."""
    probe = [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(probe, capture_output=True).returncode == 0


class FullDisks:
    """Folders whose disks become full.

    Args:
        folder: empty folder.
        seed: of the random numbers.
        mounts: whether this process may mount file systems.
    """

    def __init__(self, folder: Path, seed: int, mounts: bool) -> None:
        self.draw = random.Random(seed)
        self.folder, self.token, self.mounts = folder, folder / "token", mounts
        self.ways = [*(["apart", "together"] if mounts else []), "limited"]
        for way, size in SIZE.items() if mounts else ():
            mount(folder / way, size)

    def fills(self, root: Path, way: str) -> list[str]:
        """Return what to fill: one of the small file systems or all of them; empty for the limit of a process."""
        if way == "limited":
            return []
        apart = list(APART) if self.draw.random() < 0.2 else [self.draw.choice(APART)]
        return [str(root / name) for name in (apart if way == "apart" else [""])]

    def make_space(self, fills: list[str]) -> None:
        """Remove what fills the disks."""
        for name in fills:
            Path(name, FILLER).unlink(missing_ok=True)
        self.token.unlink(missing_ok=True)

    # -- whole runs ------------------------------------------------------------------------------------------------

    def projects(self) -> dict[str, Project]:
        """Return a project for each way in which a disk becomes full: a file, from which a folder is made."""
        template = make_project(self.folder / "template")
        template.edit("rules/steps.smk", 'formatted=artifact("formatted.txt")', 'formatted=artifact("raw.txt")')
        found = {}
        for way in self.ways:
            found[way] = Project(self.folder / way / "project")
            found[way].root.parent.mkdir(exist_ok=True)
            subprocess.run(["cp", "-a", template.root, found[way].root], check=True)
        for name in APART if self.mounts else ():
            mount(found["apart"].path(name), SMALL)
        return found

    def recorded(self, project: Project) -> dict[tuple[str, str], int]:
        """Count the operations by process and phase in a run that builds."""
        record = self.folder / "record"
        record.mkdir()
        for source, hook in ((0, {}), (1, {"record": str(record)})):
            edit(project, source)
            status, text = run(project, hook)
            assert status == 0, text
        counts: dict[tuple[str, str], int] = {}
        for path in sorted(record.iterdir()):
            for phase, count in json.loads(path.read_bytes()).items():
                key = (path.name.partition(".")[0], phase)
                counts[key] = min(count, counts.get(key, count))
        return counts

    def runs(self, points: int) -> None:
        """Let runs meet a full disk; after every few, let the same command finish, and compare."""
        projects = self.projects()
        operations = self.recorded(projects["limited"])
        source = 1
        for begin in range(0, points, POINTS_PER_RESULT):
            source += 1
            way = self.draw.choice(self.ways)
            edit(projects[way], source)
            said = []
            for number in range(begin, min(points, begin + POINTS_PER_RESULT)):
                kind = self.draw.choice(sorted({kind for kind, _ in operations}))
                phase = self.draw.choice([phase for of, phase in sorted(operations) if of == kind])
                nth = self.draw.randint(1, operations[kind, phase])
                fills = self.fills(projects[way].root, way)
                status, text = run(projects[way], target_of(kind, phase, nth, self.token) | {"fill": fills})
                said.append(f"{number}: {kind} {phase} {nth} {way} {fills}: status {status}\n{text}")
                print(said[-1].splitlines()[0] + ("" if self.token.exists() else ", not reached"), flush=True)
                assert "Traceback" not in text and (status == 0 or NAMED.search(text)), said[-1]
                self.make_space(fills)
            status, text = run(projects[way], {})
            check(projects[way], source, "\n".join([*said, f"finally: status {status}", text]), status)

    # -- the content layer alone -----------------------------------------------------------------------------------

    def operations(self, points: int) -> None:
        """Let the store and ``results/`` meet a full disk: sealing, publishing, restoring, saving, collecting."""
        record = self.folder / "counts"
        record.mkdir()
        assert self.forked("recorded", {"record": str(record)}) == 0
        (counted,) = record.iterdir()
        total = sum(json.loads(counted.read_bytes()).values())
        for number in range(points):
            way, nth = self.draw.choice(self.ways), self.draw.randint(1, total)
            name = f"{way}/{number}"
            for part in APART if way == "apart" else ():
                mount(self.folder / name / part, SMALL)
            fills = self.fills(self.folder / name, way)
            status = self.forked(name, target_of("layer", "", nth, self.token) | {"fill": fills})
            print(f"operation {nth} of {total}: {way} {fills}: status {status}", flush=True)
            assert status in (0, NAMED_STATUS), nth
            self.make_space(fills)
            assert self.forked(name, {}) == 0, nth

    def forked(self, name: str, hook: dict[str, object]) -> int:
        """Work in a folder in a process of its own, and return its status."""
        pid = os.fork()
        if pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        signal.alarm(int(LIMIT))
        root = self.folder / name
        root.mkdir(parents=True, exist_ok=True)
        os.chdir(root)
        status = 1
        try:
            counter = Hook(hook, "layer", [])
            sys.addaudithook(counter)
            with report_disk_errors():
                work(folder(root, root / "store"))
            if "record" in hook:
                counter.record()
            status = 0
        except (DiskFull, NotWritable) as error:
            print(error, flush=True)
            status = NAMED_STATUS
        finally:
            traceback.print_exc() if status == 1 else None
            os._exit(status)


def edit(project: Project, source: int) -> None:
    """Give a project other words."""
    project.path("src/data.txt").write_text(f"b\na\nc{source}\n")


def run(project: Project, hook: dict[str, object]) -> tuple[int, str]:
    """Run; return status and output, which goes through a pipe because no disk may hold it.

    Raises:
        AssertionError: it hangs.
    """
    variables = {**project.variables(), "PYTHONPATH": str(SOAKED), "SOAK": json.dumps(hook)}
    with subprocess.Popen(
        project.command("model"),
        cwd=project.root,
        env=variables,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            text, _ = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError(f"A run of {project.root} hangs:\n{process.communicate()[0]}") from None
    return process.returncode, text


def check(project: Project, source: int, text: str, status: int) -> None:
    """Check that a run has finished with the right results, and that nothing was lost or set aside."""
    assert status == 0, text
    assert project.path("results/model/weights.txt").read_text() == f"b\na\nc{source}\n3", text
    workspace = folder(project.root, project.path("store"))
    assert verify(workspace, [], deep=True) == [], text
    assert not project.path("store/quarantine").exists() and not project.path("work/set_aside").exists(), text


def work(workspace: Workspace) -> None:
    """Make, delete, restore, save and collect artifacts; what is there already may be there."""
    digests = {}
    for name, content in ARTIFACTS.items():
        digests[name] = make(workspace, name, content).digest()
    actions = [workspace.action(name) for name in ARTIFACTS]
    for name in ARTIFACTS:
        path = workspace.artifact_path(name)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert [workspace.restore(action) for action in actions] == [State.CURRENT] * len(actions)
    named_runs.save(workspace, "kept", pinned=False)
    assert verify(workspace, [], deep=True) == []
    assert {name: manifest.digest() for name in ARTIFACTS if (manifest := workspace.manifest(name))} == digests


def main() -> None:
    """Fill disks at random moments, and compare what is built then with what should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.graph.full_disk", description=main.__doc__)
    parser.add_argument("--runs", type=int, default=30, help="full disks during runs")
    parser.add_argument("--operations", type=int, default=100, help="full disks during operations on the store")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.inside and can_mount():
        os.execvp(NAMESPACE[0], [*NAMESPACE, sys.executable, "-m", "tests.graph.full_disk", *sys.argv[1:], "--inside"])
    root = Path(tempfile.mkdtemp(prefix="full-"))
    disks = FullDisks(root, arguments.seed, arguments.inside)
    disks.operations(arguments.operations)
    disks.runs(arguments.runs)
    print("all equal", flush=True)
    shutil.rmtree(root, ignore_errors=True)  # mount points go with the namespace


if __name__ == "__main__":
    main()
