"""Read a problem set in any format."""

from collections import Counter
from pathlib import Path
from typing import Protocol, cast

from tapeout import plugins
from tapeout.simulation.problems.problem import InvalidProblem, Problem

FORMATS = "tapeout.simulation.problems.formats"
"""The seam: each module is a format."""


class Format(Protocol):
    """A module that reads problem sets of one format."""

    def read(self, folder: Path) -> list[Problem]:
        """Return the problems of a folder, in any order.

        A problem that cannot be judged here, for example because its test bench needs another program, is returned
        with the reason in ``unusable``.

        Raises:
            InvalidProblem: the folder has no problem, or a malformed one.
        """


def load_format(name: str) -> Format:
    """Import a format by its name in the configuration.

    Raises:
        UnknownPlugin, InvalidPlugin: see ``plugins.load``.
    """
    return cast(Format, plugins.load(FORMATS, name))


def read_problems(folder: Path, format: str) -> list[Problem]:
    """Return the problems of a folder, sorted by name.

    Raises:
        UnknownPlugin, InvalidPlugin: see ``plugins.load``.
        InvalidProblem: the folder has no problem, a malformed one, or two of the same name.
    """
    problems = sorted(load_format(format).read(folder), key=lambda problem: problem.name)
    if not problems:
        raise InvalidProblem(
            f"The folder {folder.name} has no problem in the format {format}.",
            "Correct the path of the source, its patterns (include), or the format.",
        )
    name, count = Counter(problem.name for problem in problems).most_common(1)[0]
    if count > 1:
        raise InvalidProblem(f"The folder {folder.name} has {count} problems {name}.", "Rename or remove one.")
    return problems
