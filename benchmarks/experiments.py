"""The nine measured faults of plain Snakemake as experiments: a change, and what must follow from it.

Nothing here says what either side does. An experiment looks at what ran and at what lies in ``results/`` afterwards,
and compares that with what the programs make when they are run one after the other in an empty folder.
"""

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sides import Side, truth

PAUSE = 2
"""Seconds for which a program waits after it has read its input and written its output."""
WAIT = 60.0
"""Seconds after which something that was waited for counts as lost."""


@dataclass(frozen=True)
class Seen:
    """What was observed: the rules that ran after the change, what the user was shown, and the wrong results."""

    ran: tuple[str, ...]
    said: str
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """One of the nine.

    ``needed`` are the rules that must run after the change, no more and no fewer (None: any may); ``named`` are words
    that the explanation must hold. ``do`` makes the change and runs; it returns the rules that ran and what was said.
    """

    number: str
    change: str
    right: str
    needed: frozenset[str] | None
    do: Callable[[Side], tuple[set[str], str]]
    named: tuple[str, ...] = ()

    def observe(self, side: Side) -> Seen:
        """Run the experiment on a side whose project is built."""
        ran, said = self.do(side)
        right, found = truth(side), side.results()
        wrong = sorted(name for name in right.keys() | found.keys() if right.get(name) != found.get(name))
        return Seen(tuple(sorted(ran)), said, tuple(wrong))

    def verdict(self, seen: Seen) -> str:
        """Judge what was observed."""
        if seen.wrong:
            return "wrong result"
        if self.needed is not None and set(seen.ran) != self.needed:
            return "needless work" if self.needed < set(seen.ran) else "did not run"
        if any(word not in seen.said.split() for word in self.named):
            return "not explained"
        return "right"


def swapped_parameters(side: Side) -> tuple[set[str], str]:
    """T1."""
    side.edit("config.yaml", "lr: 1, wd: 2", "lr: 2, wd: 1")
    return side.ran(), ""


def one_parameter(side: Side) -> tuple[set[str], str]:
    """T1b."""
    side.edit("config.yaml", "lr: 1", "lr: 3")
    said = side.why()
    return side.ran(), said


def same_folder_again(side: Side) -> tuple[set[str], str]:
    """T2."""
    side.edit("scripts/model.py", "output.mkdir()", "output.mkdir(parents=True)")
    return side.ran(), ""


def touched_source(side: Side) -> tuple[set[str], str]:
    """T3."""
    side.path("src/data.txt").touch()
    return side.ran(), ""


def imported_module(side: Side) -> tuple[set[str], str]:
    """T4."""
    side.edit("lib/words.py", "sorted(set(text.split()))", "sorted(set(text.split()), reverse=True)")
    return side.ran(), ""


def forced(side: Side) -> tuple[set[str], str]:
    """T5."""
    return side.ran("-R", "formatted"), ""


def altered_result(side: Side) -> tuple[set[str], str]:
    """T6."""
    overwrite(side.path("results/model/weights.txt"))
    ran = side.ran()
    return ran, side.check()


def source_edited_during_its_job(side: Side) -> tuple[set[str], str]:
    """T7."""
    side.forget()  # so that an output of the job is known to be this job's
    program = side.path("scripts/raw.py")
    program.write_text(f"{program.read_text()}\nimport time\n\ntime.sleep({PAUSE})\n")
    run = subprocess.Popen(side.command(), cwd=side.root, env=side.variables(), stderr=subprocess.DEVNULL)
    wait_until(side.written)
    side.edit("src/data.txt", "c\n", "d\n")
    run.wait(WAIT)
    return side.ran(), ""


def altered_store(side: Side) -> tuple[set[str], str]:
    """T9."""
    side.forget()
    side.ran(*side.caching)
    overwrite(side.stored())
    side.forget()
    return side.ran(*side.caching), ""


def overwrite(path: Path) -> None:
    """Overwrite a file with other bytes, keeping its size and times."""
    info = path.stat()
    path.chmod(0o644)
    path.write_bytes(b"?" * info.st_size)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    path.chmod(info.st_mode)


def wait_until(true: Callable[[], bool]) -> None:
    """Wait until a condition holds that another process brings about."""
    end = time.monotonic() + WAIT
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("the program of the rule raw wrote nothing")
        time.sleep(0.02)


EXPERIMENTS = [
    Experiment(
        "T1",
        "Two parameters swap their values: `lr` 1 and `wd` 2 become 2 and 1.",
        "The model is made again; its weights are the same, so the report is not.",
        frozenset({"model"}),
        swapped_parameters,
    ),
    Experiment(
        "T1b",
        "One parameter changes: `lr` from 1 to 3.",
        "Model and report are made again, and the user is told which parameter changed, from what and to what.",
        frozenset({"model", "report"}),
        one_parameter,
        ("lr", "1", "3"),
    ),
    Experiment(
        "T2",
        "The program that makes a folder changes, and makes the same bytes as before.",
        "The folder is made again, what reads it is not.",
        frozenset({"model"}),
        same_folder_again,
    ),
    Experiment("T3", "A source of 2 MB is touched.", "Nothing runs.", frozenset(), touched_source),
    Experiment(
        "T4",
        "A module that two programs import changes, and with it what they make.",
        "Both run again, and what follows from them.",
        frozenset({"formatted", "model", "report"}),
        imported_module,
    ),
    Experiment(
        "T5",
        "A step is forced (`-R formatted`) and makes the same bytes.",
        "Nothing else runs.",
        frozenset({"formatted"}),
        forced,
    ),
    Experiment(
        "T6",
        "A result is overwritten; size and time stay.",
        "There is a way to find it and to get the right bytes back.",
        None,
        altered_result,
    ),
    Experiment(
        "T7",
        "A source is edited while the job that has read it runs; then another run.",
        "The results are those of the edited source.",
        None,
        source_edited_during_its_job,
    ),
    Experiment(
        "T9",
        "A file in the store of results (plain: `--cache`) is overwritten; then all is asked of the store.",
        "The damaged file is not used.",
        None,
        altered_store,
    ),
]
