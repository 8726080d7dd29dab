"""Soak test of G13: after ``kill -9`` at any moment, the next runs give the results of an undisturbed run.

``python -m tests.graph.soak --kills 100`` (``make soak``). A kill comes either from outside at a random time, or from
inside before a random file operation (``soaked/sitecustomize.py``), so that the short phases of sealing, publishing and
restoring are hit as often as the long ones. All random numbers come from one seeded generator; the scheduling of the
processes does not, so that a seed repeats the plan but not the exact moments.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.tables import table, write
from tapeout.graph.store.store import Store
from tapeout.graph.upkeep.verify import verify
from tapeout.graph.workspace import Workspace
from tests.graph.conftest import Project, make_project

SOAKED = Path(__file__).parent / "soaked"
PAGE = Path(__file__).parents[2] / "benchmarks" / "soak.md"
PAUSE = 0.3
"""Seconds for which two of the programs sleep, so that kills hit running programs."""
LIMIT = 120.0
"""Seconds after which a run counts as hanging."""
OUTSIDE = ("driver", "runner", "resolver", "program", "run")
"""Targets of kills from outside: one process of a kind, or the whole run."""
RESTORING = ("store.link", "workspace.publish")
"""Phases that the driver reaches only if the store has the artifact."""
MODULES = {"runner": "tapeout.graph.run.runner", "resolver": "tapeout.graph.plan.resolve"}


def soaked_project(root: Path) -> Project:
    """Return the small project with additional steps whose outputs are folders of many files."""
    project = make_project(root)
    shutil.copytree(SOAKED, root, dirs_exist_ok=True)
    project.edit(
        "Snakefile", 'include: "rules/steps.smk"\n', 'include: "rules/steps.smk"\ninclude: "rules/soaked.smk"\n'
    )
    project.edit("Snakefile", 'artifact("report.txt"),', 'artifact("merged"),')
    project.edit("config.yaml", "pause: 0", f"pause: {PAUSE}")
    return project


@dataclass(frozen=True)
class State:
    """A source and a configuration.

    Sources that differ only in ``repeats`` have the same words: what depends on the words is restored or cut off
    during the run.
    """

    source: int = 1
    lr: int = 1
    repeats: int = 0

    def apply(self, project: Project) -> None:
        """Edit the project's source and configuration."""
        project.path("src/data.txt").write_text(f"b\na\nc{self.source}\n" + "a\n" * self.repeats)
        text = project.path("config.yaml").read_text()
        before, _, after = text.partition("lr: ")
        project.path("config.yaml").write_text(f"{before}lr: {self.lr},{after.partition(',')[2]}")


@dataclass
class Result:
    """Outcome of a soak."""

    seed: int
    kills: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Number of kills by target, origin and phase."""
    rounds: int = 0
    leftovers: int = 0
    """Temporary files in the store, which a kill may leave and nothing reads."""
    seconds: float = 0.0


def target_of(
    kind: str, phase: str, nth: int, token: Path, number: int = signal.SIGKILL, artifact: str = "", group: bool = False
) -> dict[str, Any]:
    """Return the settings of the hook: see ``soaked/sitecustomize.py``."""
    target = {"kind": kind, "phase": phase, "nth": nth, "artifact": artifact}
    return {**target, "signal": number, "group": group, "token": str(token)}


def start(project: Project, log: Path, hook: dict[str, Any]) -> "subprocess.Popen[bytes]":
    """Start a run, in a separate process group, with the given settings of the hook."""
    variables = {**project.variables(), "PYTHONPATH": str(SOAKED), "SOAK": json.dumps(hook)}
    with open(log, "wb") as file:
        return subprocess.Popen(
            project.command(), cwd=project.root, env=variables, stdout=file, stderr=file, start_new_session=True
        )


class Soak:
    """A project whose runs are killed, and one whose runs are not."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.draw = random.Random(seed)
        self.result = Result(seed)
        self.folder = folder
        self.killed, self.undisturbed = soaked_project(folder / "killed"), soaked_project(folder / "undisturbed")
        self.states = [State()]
        self.expected: dict[State, dict[str, str]] = {}
        self.log = folder / "run.log"
        self.duration = 0.0
        self.operations = self.recorded()

    def recorded(self) -> dict[tuple[str, str], int]:
        """Count the operations by process and phase in runs that build, restore, and restore during a run."""
        record = self.folder / "record"
        record.mkdir()
        for state in (State(1), State(2), State(1), State(2, repeats=1)):
            state.apply(self.undisturbed)
            begun = time.monotonic()
            assert start(self.undisturbed, self.log, {"record": str(record)}).wait(LIMIT) == 0, self.log.read_text()
            self.duration = max(self.duration, time.monotonic() - begun)
        most: dict[tuple[str, str], int] = {}
        for path in sorted(record.iterdir()):
            for phase, count in json.loads(path.read_bytes()).items():
                key = (path.name.partition(".")[0], phase)
                most[key] = max(count, most.get(key, 0))
        assert {("driver", phase) for phase in RESTORING} <= most.keys(), "the hook does not see the build graph"
        return most

    # -- killing ---------------------------------------------------------------------------------------------------

    def kill_inside(self) -> tuple[str, str, str] | None:
        """Run until a process kills itself before a random operation; return None if it never gets there."""
        kind, phase = self.draw.choice(sorted(self.operations))
        if kind == "driver" and phase in RESTORING:
            self.change(again=True)
        whole_run = self.draw.random() < 0.25
        artifact = self.draw.choice(["", "raw.txt", "model", "shards/0", "merged"]) if kind != "driver" else ""
        nth = self.draw.randint(1, self.operations[kind, phase])
        token = self.folder / "token"
        token.unlink(missing_ok=True)
        run = start(self.killed, self.log, target_of(kind, phase, nth, token, artifact=artifact, group=whole_run))
        run.wait(LIMIT)
        return ("run" if whole_run else kind, "inside", phase) if token.exists() else None

    def kill_outside(self) -> tuple[str, str, str] | None:
        """Kill a part of a run at a random time; return None if the run ended before."""
        victim, delay = self.draw.choice(OUTSIDE), self.draw.uniform(0.0, self.duration)
        run = start(self.killed, self.log, {})
        with suppress(subprocess.TimeoutExpired):
            run.wait(delay)
        while run.poll() is None:
            if victim in ("driver", "run"):
                phase = "jobs run" if processes(self.killed.root, "runner") else "no job runs"
                os.killpg(run.pid, signal.SIGKILL) if victim == "run" else run.kill()
                run.wait(LIMIT)
                return victim, "outside", phase
            for pid in processes(self.killed.root, victim):
                phase = "program runs" if processes(self.killed.root, "program") else "no program runs"
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    run.wait(LIMIT)  # the other jobs finish
                    return victim, "outside", phase
            time.sleep(0.005)
        return None

    # -- rounds ----------------------------------------------------------------------------------------------------

    def change(self, again: bool = False) -> None:
        """Apply a new source and configuration, or sometimes an earlier one, which the store may have."""
        if again or self.draw.random() < 0.3:
            self.states.append(self.draw.choice(self.states))
        else:
            last = max(state.source for state in self.states)
            self.states.append(State(last + self.draw.randint(0, 1), self.draw.randint(1, 9), self.draw.randint(0, 3)))
        self.states[-1].apply(self.killed)

    def finish(self) -> None:
        """Let a run finish, and compare everything with an undisturbed one."""
        run = start(self.killed, self.log, {})
        assert run.wait(LIMIT) == 0, self.log.read_text()
        self.result.rounds += 1
        state = self.states[-1]
        assert self.killed.digests() == self.digests_of(state), f"differs from the undisturbed run of {state}"
        workspace = Workspace(Store(self.killed.path("store")), self.killed.path("results"), self.killed.path("work"))
        assert verify(workspace, [], deep=True) == []
        assert not self.killed.path("store/quarantine").exists()

    def digests_of(self, state: State) -> dict[str, str]:
        """Return the digests of an undisturbed run that starts with an empty store."""
        if state not in self.expected:
            for name in ("results", "store"):
                shutil.rmtree(self.undisturbed.path(name), ignore_errors=True)
            state.apply(self.undisturbed)
            self.undisturbed.run()
            self.expected[state] = self.undisturbed.digests()
        return self.expected[state]

    def soak(self, kills: int) -> Result:
        """Kill ``kills`` times; after every few kills finish and compare."""
        begun = time.monotonic()
        until_finish = 0
        while self.result.kills.total() < kills:
            if until_finish == 0:
                self.change()
                until_finish = self.draw.randint(2, 5)
            done = self.kill_inside() if self.draw.random() < 0.6 else self.kill_outside()
            if done is not None:
                self.result.kills[done] += 1
                print(f"{self.result.kills.total()}: {' '.join(done)}", flush=True)
            until_finish -= 1
            if until_finish == 0:
                self.finish()
            elif done is None or self.draw.random() < 0.2:
                self.change()  # nothing is left to do; or a job that outlives its driver shall meet a different run
        self.finish()
        assert self.killed.run().nothing_done
        assert self.killed.tapeout("verify", "--deep")[0] == 0
        hidden = list(self.killed.path("store").rglob(".*"))
        assert all(path.match(".*.tmp") for path in hidden), hidden
        self.result.leftovers = len(hidden)
        assert not self.killed.path("work/set_aside").exists(), "a killed run's result was taken for an edited one"
        self.result.seconds = time.monotonic() - begun
        return self.result


def processes(root: Path, kind: str) -> list[int]:
    """Return the running processes of a kind that work in ``root``, or in a namespace that shows a part of it."""
    found = []
    for path in Path("/proc").iterdir():
        with suppress(OSError):
            if path.name.isdigit() and (
                (path / "cwd").readlink().is_relative_to(root) or f"{root}/" in (path / "mountinfo").read_text()
            ):
                words = (path / "cmdline").read_bytes().decode().split("\0")
                if words[1:3] == ["-m", MODULES.get(kind)] or (kind == "program" and "scripts/" in "".join(words[1:2])):
                    found.append(int(path.name))
    return sorted(found)


def report(result: Result) -> None:
    """Write the page of results."""
    rows = [[*key, str(count)] for key, count in sorted(result.kills.items())]
    by_kind: Counter[str] = Counter()
    for (victim, _, _), count in result.kills.items():
        by_kind[victim] += count
    paragraphs = [
        "# Soak: killed at any moment, and nothing is lost",
        "G13 of [the graph's properties](../docs/faults.md). A small project is run, a part of the run is killed "
        "(`kill -9`), and it is run again without any cleanup, while source and configuration change. After every few "
        "kills a run may finish; then every digest must equal that of an undisturbed run in another folder with an "
        "empty store, and `verify --deep` must find nothing. Processes are killed from outside at a random time, or "
        "from inside before a random file operation. Written by `make soak`.",
        f"Seed {result.seed}: {result.kills.total()} kills "
        f"({', '.join(f'{victim} {count}' for victim, count in sorted(by_kind.items()))}), "
        f"{result.rounds} comparisons with an undisturbed run, all equal; nothing quarantined or set aside; "
        f"{result.leftovers} temporary files (`.*.tmp`) left in the store by kills, which nothing reads; "
        f"{result.seconds / 60:.0f} minutes.",
        table(["killed", "from", "while", "times"], rows),
    ]
    write(PAGE, paragraphs)


def main() -> None:
    """Run a soak and write its page."""
    parser = argparse.ArgumentParser(prog="python -m tests.graph.soak", description=main.__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().randrange(10**6), help="default: a random one"
    )
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        report(Soak(folder, arguments.seed).soak(arguments.kills))
    except AssertionError as error:
        # the folder is kept: it shows what went wrong
        raise SystemExit(f"seed {arguments.seed}: {error}\n  see {folder}") from None
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
