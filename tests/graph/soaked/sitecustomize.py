"""Imported by every Python of a soaked run at its start: ends or stops a process at one chosen operation on files.

Python tells an audit hook of each operation before it is carried out; so a process can be killed between any two. The
variable ``SOAK`` says where (JSON): ``kind`` of process, ``phase`` (the function of the content layer), ``nth``
operation in it, ``artifact`` (empty: any), ``signal``, ``group`` (the whole run gets it), ``token`` (a file that only
one process can make, so that one is met). Or it names a folder ``record``, into which each process writes how many
operations it made.
"""

import atexit
import json
import os
import sys
from collections import Counter

OPERATIONS = {
    *("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.utime", "os.chmod", "os.symlink"),
    *("fcntl.flock", "subprocess.Popen"),
}
KINDS = {"snakemake": "driver", "tapeout.graph.run.runner": "runner", "tapeout.graph.plan.resolve": "resolver"}
HELPERS = {"write_atomically", "write_if_changed", "holding", "_copy", "mode", "unused"}
"""Functions that are named by their caller."""


class Hook:
    """Counts the operations of this process, and meets its end."""

    def __init__(self, wish: dict, kind: str, arguments: list[str]) -> None:
        self.wish, self.kind = wish, kind
        self.counts: Counter[str] = Counter()
        self.busy = False
        mine = " ".join(arguments)
        self.marked = kind == wish.get("kind") and (not wish["artifact"] or f"{wish['artifact']}" in mine)

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
        if self.marked and phase == self.wish["phase"] and self.counts[phase] == self.wish["nth"]:
            self.meet()
        self.busy = False

    def phase(self) -> str:
        """The innermost function of the content layer that is at work."""
        frame = sys._getframe(2)
        while frame is not None:
            code = frame.f_code
            folder, _, file = code.co_filename.rpartition("/")
            if folder.endswith("tapeout/graph") and code.co_name not in HELPERS:
                return f"{file.removesuffix('.py')}.{code.co_name}"
            frame = frame.f_back
        return "outside the layer"

    def meet(self) -> None:
        """Send the signal to this process, or to the whole run, if no other process has done so."""
        try:
            os.close(os.open(self.wish["token"], os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        if self.wish["group"]:
            os.killpg(os.getpgrp(), self.wish["signal"])
        else:
            os.kill(os.getpid(), self.wish["signal"])

    def record(self) -> None:
        """Leave the counts."""
        self.busy = True
        with open(os.path.join(self.wish["record"], f"{self.kind}.{os.getpid()}.json"), "w") as file:
            json.dump(self.counts, file)


def install() -> None:
    """Watch this process if it is one of those that work for the content layer."""
    wish, kind = json.loads(os.environ.get("SOAK", "{}")), KINDS.get(sys.orig_argv[2] if len(sys.orig_argv) > 2 else "")
    if wish and kind:
        hook = Hook(wish, kind, sys.orig_argv)
        sys.addaudithook(hook)
        if "record" in wish:
            atexit.register(hook.record)


install()
