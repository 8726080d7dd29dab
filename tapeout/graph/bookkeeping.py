"""Bookkeeping: what a run notes for its observers, and what must never decide how it ends.

Much of it happens in callbacks of Snakemake's scheduler, which would wait forever for a job whose callback raises.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tapeout.errors import TapeoutError
from tapeout.graph.console import print_line
from tapeout.graph.files import disk_error

_printed: set[str] = set()
"""Lines that this process has printed."""


@contextmanager
def bookkeeping(what: str) -> Iterator[None]:
    """Print an error of the disk, or a named error, instead of raising it; each line once in a process.

    Args:
        what: beginning of a sentence that names what is lost, e.g. "The progress of model cannot be noted".
    """
    try:
        yield
    except (TapeoutError, OSError) as error:
        named = disk_error(error) if isinstance(error, OSError) else error
        line = f"! {what}: {named or error}"
        if line not in _printed:
            _printed.add(line)
            print_line(line)
