"""Nine experiments on faults of plain Snakemake: a change, and the required outcome.

No expected outcome of either tool is written down. An experiment compares the steps that ran and the files in
``results/`` with the output of the programs when they run one after the other in an empty folder.
"""

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.sides import Side, truth

PAUSE = 2
"""Seconds that a program waits after it has read its input and written its output."""
WAIT = 60.0
"""Maximum seconds to wait for a program."""


@dataclass(frozen=True)
class Observation:
    """Outcome of an experiment: the rules that ran after the change, the message to the user, and the wrong results."""

    ran: tuple[str, ...]
    message: str
    wrong: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """Change of a finished build, with the required outcome.

    Attributes:
        number: number in docs/faults.md.
        change: description of the change.
        right: description of the required outcome.
        needed: the rules that must run after the change, no more and no fewer; None if any may run.
        do: makes the change and runs; returns the rules that ran and the message to the user.
        named: words that the message must contain.
    """

    number: str
    change: str
    right: str
    needed: frozenset[str] | None
    do: Callable[[Side], tuple[set[str], str]]
    named: tuple[str, ...] = ()

    def observe(self, side: Side) -> Observation:
        """Run the experiment on a built project."""
        ran, message = self.do(side)
        expected, actual = truth(side), side.results()
        wrong = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
        return Observation(tuple(sorted(ran)), message, tuple(wrong))

    def verdict(self, seen: Observation) -> str:
        """Judge what was observed."""
        if seen.wrong:
            return "wrong result"
        if self.needed is not None and set(seen.ran) != self.needed:
            return "needless work" if self.needed < set(seen.ran) else "did not run"
        if any(word not in seen.message.split() for word in self.named):
            return "not explained"
        return "right"


def swapped_parameters(side: Side) -> tuple[set[str], str]:
    """T1."""
    side.edit("config.yaml", "lr: 1, wd: 2", "lr: 2, wd: 1")
    return side.ran(), ""


def one_parameter(side: Side) -> tuple[set[str], str]:
    """T1b."""
    side.edit("config.yaml", "lr: 1", "lr: 3")
    message = side.why()
    return side.ran(), message


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
    """Wait until another process has made a condition true."""
    end = time.monotonic() + WAIT
    while not true():
        if time.monotonic() > end:
            raise TimeoutError("the program of the rule raw wrote nothing")
        time.sleep(0.02)


EXPERIMENTS = [
    Experiment(
        "T1",
        "Two parameters swap their values: `lr` 1 and `wd` 2 become 2 and 1.",
        "The model is built again; its weights are the same, so the report is not built.",
        frozenset({"model"}),
        swapped_parameters,
    ),
    Experiment(
        "T1b",
        "One parameter changes: `lr` from 1 to 3.",
        "Model and report are built again, and the user is shown the parameter's name, old and new value.",
        frozenset({"model", "report"}),
        one_parameter,
        ("lr", "1", "3"),
    ),
    Experiment(
        "T2",
        "The program that writes a folder changes, but writes the same bytes as before.",
        "The folder is built again, the steps that read it do not run.",
        frozenset({"model"}),
        same_folder_again,
    ),
    Experiment("T3", "A source of 2 MB is touched.", "Nothing runs.", frozenset(), touched_source),
    Experiment(
        "T4",
        "A module that two programs import changes, and with it their output.",
        "Both run again, and the affected steps downstream.",
        frozenset({"formatted", "model", "report"}),
        imported_module,
    ),
    Experiment(
        "T5",
        "A step is forced (`-R formatted`) and writes the same bytes.",
        "Nothing else runs.",
        frozenset({"formatted"}),
        forced,
    ),
    Experiment(
        "T6",
        "A result is overwritten, with size and time preserved.",
        "A command finds it and restores the right bytes.",
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
        "A file in the store of results (plain: `--cache`) is overwritten; then all results are taken from the store.",
        "The damaged file is not used.",
        None,
        altered_store,
    ),
]
