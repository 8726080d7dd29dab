"""Standard output and error that take any text, and named errors where they cannot be written."""

import contextlib
import errno
import io
import os
import signal
import sys
from collections.abc import Iterator

from tapeout.errors import TapeoutError

BROKEN_PIPE = 128 + signal.SIGPIPE
"""Exit status of a program whose reader has gone, as a shell reports it."""


class CannotWriteOutput(TapeoutError):
    """The standard output cannot be written."""


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Turn errors of writing to the standard output into a quiet exit, if its reader has gone, or a named error.

    Raises:
        CannotWriteOutput: its device is full or broken.
    """
    try:
        yield
    except OSError as error:
        with contextlib.suppress(OSError):  # else Python tries to write the rest when it ends, and complains
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if error.errno == errno.EPIPE:
            raise SystemExit(BROKEN_PIPE) from None
        raise CannotWriteOutput(
            f"The output cannot be written: {error.strerror}.", "Write it to another file or device."
        ) from None


class Output(io.TextIOWrapper):
    """Standard output that replaces characters which its encoding lacks."""

    def write(self, text: str) -> int:
        """Write text."""
        with writing():
            return super().write(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with writing():
            super().flush()

    def write_utf8(self, data: bytes) -> None:
        """Write bytes, whatever the encoding is."""
        self.flush()
        with writing():
            self.buffer.write(data)
            self.buffer.flush()


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Replace the standard output by an ``Output`` that is complete at the end; a closed stream discards its text.

    Raises:
        CannotWriteOutput: see ``writing``.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the life of the process
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    old = sys.stdout
    if isinstance(old, io.TextIOWrapper):
        lines = old.line_buffering
        sys.stdout = Output(old.detach(), encoding=old.encoding, errors="replace", line_buffering=lines)
    try:
        yield
    finally:
        sys.stdout.flush()


def write_error(text: object) -> None:
    """Print a line to stderr in a single write, so that lines of concurrent processes never mix.

    A terminal gets its own encoding; a file or a pipe gets UTF-8, because other processes read logs. A line that cannot
    be written is lost: no step fails for that.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
        encoding = sys.stderr.encoding if sys.stderr.isatty() else "utf-8"
        os.write(sys.stderr.fileno(), f"{text}\n".encode(encoding, "replace"))
