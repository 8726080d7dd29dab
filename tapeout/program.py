"""How a script of the graph is run: typer on the outside, one sentence instead of a traceback for a named error."""

import errno
import sys
from collections.abc import Callable

import typer
from pydantic import ValidationError

from tapeout.errors import TapeoutError


class DiskFull(TapeoutError):
    """No space is left where the step writes."""


class InvalidParameters(TapeoutError):
    """The parameters of a step do not fit its model."""


def run(main: Callable[..., None]) -> None:
    """Run ``main`` as a command-line program; exit with status 1 and a named error's two sentences if one is raised.

    A full disk is turned into ``DiskFull``. Anything else that is not a ``TapeoutError`` is a fault of ours and keeps
    its traceback, which the runner writes into the step's log.
    """
    try:
        typer.run(main)
    except TapeoutError as error:
        fail(error)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        fail(InvalidParameters(f"parameter {where or 'set'}: {first['msg']}.", "Correct it in the config file."))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        fail(DiskFull(f"No space is left while writing {error.filename}.", "Free some space and run again."))


def fail(error: TapeoutError) -> None:
    """Print a named error and end the process with status 1."""
    print(error, file=sys.stderr)
    raise SystemExit(1) from None
