"""Imported by every Python of a soak at its start: does something before one chosen file operation of a process.

Python calls an audit hook before each operation, so that a process can be killed between any two. The environment
variable ``SOAK`` (JSON) states the target: ``kind`` of process, ``phase`` (function of the build graph; empty: any),
``nth`` operation in it, ``artifact`` (empty: any), ``token`` (a file that only one process can create, so that it
happens once); and what happens: a ``signal`` is sent to the process, or to the whole ``group``, or the file systems of
the folders ``fill`` are filled; an empty list stands for a limit of the process, which can then write no file at all.
Or it names a folder ``record``, into which each process writes how many operations it made in each phase.
"""

import atexit
import json
import os
import resource
import sys
from collections import Counter

OPERATIONS = {
    *("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "os.chmod", "os.symlink"),
    *("fcntl.flock", "subprocess.Popen"),
}
KINDS = {"snakemake": "driver", "tapeout.graph.run.runner": "runner", "tapeout.graph.plan.resolve": "resolver"}
FILLER = "filler"
"""File that fills a file system."""
HELPERS = "files.py"
"""Module whose functions count as a part of their callers."""


class Hook:
    """Counts the operations of this process, and sends the signal at the chosen one."""

    def __init__(self, target: dict, kind: str, arguments: list[str]) -> None:
        self.target, self.kind = target, kind
        self.counts: Counter[str] = Counter()
        self.busy = False
        command = " ".join(arguments)
        self.chosen = kind == target.get("kind") and (not target["artifact"] or target["artifact"] in command)

    def __call__(self, event: str, arguments: tuple) -> None:
        if event not in OPERATIONS or self.busy:
            return
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        if "__pycache__" in str(arguments[0]):
            return
        self.busy = True
        phase = self.phase()
        self.counts[phase] += 1
        count = self.counts[phase] if self.target.get("phase") else self.counts.total()
        if self.chosen and self.target["phase"] in ("", phase) and count == self.target["nth"]:
            self.act()
        self.busy = False

    def phase(self) -> str:
        """Return the innermost function of the build graph on the stack."""
        frame = sys._getframe(2)
        while frame is not None:
            code = frame.f_code
            folder, _, file = code.co_filename.rpartition("/")
            if "/tapeout/graph/" in f"{folder}/" and file != HELPERS:
                return f"{file.removesuffix('.py')}.{code.co_name}"
            frame = frame.f_back
        return "outside the graph"

    def act(self) -> None:
        """Send the signal or fill the file systems, unless another process has done so."""
        try:
            os.close(os.open(self.target["token"], os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        if "fill" in self.target:
            for folder in self.target["fill"]:
                fill(os.path.join(folder, FILLER))
            if not self.target["fill"]:
                resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        elif self.target["group"]:
            os.killpg(os.getpgrp(), self.target["signal"])
        else:
            os.kill(os.getpid(), self.target["signal"])

    def record(self) -> None:
        """Write the counts."""
        self.busy = True
        with open(os.path.join(self.target["record"], f"{self.kind}.{os.getpid()}.json"), "w") as file:
            json.dump(self.counts, file)


def fill(path: str) -> None:
    """Write to a file until its file system takes no byte more."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    for block in (1 << 20, 1 << 12, 1):
        try:
            while os.write(descriptor, bytes(block)):
                pass
        except OSError:
            continue
    os.close(descriptor)


def install() -> None:
    """Install the hook if this process belongs to the build graph."""
    target, kind = (
        json.loads(os.environ.get("SOAK", "{}")),
        KINDS.get(sys.orig_argv[2] if len(sys.orig_argv) > 2 else ""),
    )
    if target and kind:
        hook = Hook(target, kind, sys.orig_argv)
        sys.addaudithook(hook)
        if "record" in target:
            atexit.register(hook.record)


install()
