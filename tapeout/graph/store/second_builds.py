"""Second builds of actions in this folder that gave other bytes: ``work/second_builds``, one a line.

``tapeout rebuild`` and a forced build write it, and ``tapeout export`` reads it. Like ``work/built`` it is outside of
every store. A line has the digests of the action and of both outputs, the level at which the outputs are equal, and the
level that the user asked for; ``-`` if they were not compared.
"""

import contextlib
from dataclasses import astuple, dataclass
from pathlib import Path

from tapeout.graph.files import only_regular, read_plain

NAME = "second_builds"
NOT_COMPARED = "-"


@dataclass(frozen=True)
class SecondBuild:
    """A second build of an action.

    Attributes:
        action: digest of the action.
        first: digest of the output that the store had.
        second: digest of the output of the second build.
        reached: level at which they are equal (``compare.file_comparison.Level``); ``-`` if they were not compared.
        required: level that the user asked for (``tapeout rebuild --check --level``); ``-`` if none.
    """

    action: str
    first: str
    second: str
    reached: str = NOT_COMPARED
    required: str = NOT_COMPARED

    @property
    def differs(self) -> bool:
        """True if the bytes are not the same."""
        return self.first != self.second


def note(work: Path, build: SecondBuild) -> None:
    """Note a second build, unless it has the same bytes and the action never had others."""
    if build.differs or read(work, build.action):
        work.mkdir(parents=True, exist_ok=True)
        with open(work / NAME, "ab", buffering=0, opener=only_regular) as file:
            file.write((" ".join(astuple(build)) + "\n").encode())


def read(work: Path, action: str) -> list[SecondBuild]:
    """Return the second builds of an action, in their order."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for line in read_plain(work / NAME).decode("ascii", "replace").splitlines():
            parts = line.split(" ")
            if len(parts) == 5 and parts[0] == action and len(parts[1]) == len(parts[2]) == 64:  # not cut by a crash
                found.append(SecondBuild(*parts))
    return found
