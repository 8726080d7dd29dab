"""Error of the guard, and of everything else that cannot use a model file."""

from tapeout.errors import TapeoutError


class UnusableModel(TapeoutError):
    """A model folder, checkpoint or archive is damaged, incomplete, unsafe, or of no known family."""


def refuse(what: str, why: str) -> UnusableModel:
    """Return the error about a file that no honest program writes."""
    return UnusableModel(f"{what} {why}.", "Do not trust this file; get the model from its author again.")
