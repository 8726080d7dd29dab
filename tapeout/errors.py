"""Base class of user-facing errors, which state the cause and the fix."""

import difflib
from collections.abc import Iterable


class TapeoutError(Exception):
    """Base of all user-facing errors.

    Subclasses live beside the code that raises them, so that a new error never changes the code identity of an
    unrelated step.

    Args:
        cause: one sentence, what is wrong, with the names and values that matter.
        fix: one sentence, what the reader can do about it.
    """

    def __init__(self, cause: str, fix: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.fix = fix

    def __str__(self) -> str:
        return f"{type(self).__name__}: {self.cause}\n  fix: {self.fix}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error's sentence about an unknown name: the closest known name, or only the full stop."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else "."
