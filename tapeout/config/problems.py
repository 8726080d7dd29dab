"""Errors of the configuration: all of them in one report, each with its place, cause and fix."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from tapeout.errors import TapeoutError

Location = tuple[str | int, ...]
"""Keys and list indices that lead to a value."""


@dataclass(frozen=True)
class Problem:
    """One error of the configuration.

    Attributes:
        cause: what is wrong, a sentence.
        fix: what to do about it, a sentence.
        place: file and line, or that the value is from the command line; empty if it is a default.
        key: location of the value, for sorting; empty if the file cannot be read.
    """

    cause: str
    fix: str
    place: str = ""
    key: Location = ()

    @property
    def order(self) -> tuple[str, int]:
        """Sort key: the file, then the line."""
        file, _, line = self.place.rpartition(", line ")
        return (file, int(line)) if line.isdecimal() else (self.place, 0)

    @property
    def statement(self) -> str:
        """Place and cause."""
        return f"{self.place}: {self.cause}" if self.place else self.cause


class InvalidConfig(TapeoutError):
    """The configuration is invalid.

    Attributes:
        problems: the errors of the configuration.
    """

    def __init__(self, cause: str, fix: str, problems: Iterable[Problem] = ()) -> None:
        super().__init__(cause, fix)
        self.problems = tuple(problems) or (Problem(cause, fix),)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> Self:
        """Return the report of all problems; of one, it has the form of every named error."""
        found = tuple(sorted(dict.fromkeys(problems), key=lambda problem: problem.order))
        if len(found) == 1:
            return cls(found[0].statement, found[0].fix, found)
        listed = "".join(f"\n  {problem.statement}\n    fix: {problem.fix}" for problem in found)
        return cls(f"The configuration has {len(found)} errors.{listed}", "Correct them, and run again.", found)
