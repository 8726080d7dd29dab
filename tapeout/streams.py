"""Standard output and error that take any text, and named errors where they cannot be written."""

import contextlib
import errno
import io
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from tapeout.errors import TapeoutError

BROKEN_PIPE = 128 + signal.SIGPIPE
"""Exit status of a program whose reader has gone, as a shell reports it."""


class CannotWriteOutput(TapeoutError):
    """The standard output cannot be written."""


class Output(io.TextIOWrapper):
    """Standard output that replaces characters which its encoding lacks.

    If it cannot be written, the process ends: quietly if the reader has gone, else with a named error.

    Attributes:
        status: exit status of the process if the device is full or broken.
        end: ends the process with a status; if it returns, later output is discarded.
    """

    status = 1
    end: Callable[[int], None] = staticmethod(sys.exit)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError):  # else Python tries to write the rest when it ends, and complains
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if error.errno == errno.EPIPE:
                self.end(BROKEN_PIPE)
            else:
                cause = f"The output cannot be written: {error.strerror}."
                write_error(CannotWriteOutput(cause, "Write it to another file or device."))
                self.end(self.status)

    def write(self, text: str) -> int:
        """Write text."""
        with self._writing():
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with self._writing():
            super().flush()

    def write_utf8(self, data: bytes) -> None:
        """Write UTF-8 bytes without converting them to the encoding of the stream."""
        self.flush()
        with self._writing():
            self.buffer.write(data)
            self.buffer.flush()


class Messages(io.TextIOWrapper):
    """Standard error whose text is lost if it cannot be written."""

    def write(self, text: str) -> int:
        """Write text."""
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with contextlib.suppress(OSError):
            super().flush()


def replace_stderr() -> None:
    """Replace the standard error by ``Messages``, so that a reader that has gone ends no program."""
    if type(sys.stderr) is io.TextIOWrapper:
        device = io.FileIO(sys.stderr.fileno(), "w", closefd=False)
        sys.stderr = Messages(io.BufferedWriter(device), sys.stderr.encoding, "backslashreplace", line_buffering=True)


def reader_has_gone() -> bool:
    """Return whether standard output or standard error is a pipe or a socket that nobody reads any more."""
    poll = select.poll()
    for number in (1, 2):
        poll.register(number, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def replace_stdout(status: int, end: Callable[[int], None] = sys.exit) -> TextIO:
    """Replace the standard output by an ``Output``, and a closed stream by one that discards its text.

    Args:
        status: see ``Output``.
        end: see ``Output``.

    Returns:
        The former standard output.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the life of the process
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    old = sys.stdout
    if type(old) is io.TextIOWrapper:  # not one that a caller in the same process put there
        old.flush()
        device = io.FileIO(old.fileno(), "w", closefd=False)  # the old stream stays usable: Snakemake keeps it
        lines = old.line_buffering
        sys.stdout = Output(io.BufferedWriter(device), old.encoding, "replace", line_buffering=lines)
        sys.stdout.status, sys.stdout.end = status, end
    return old


@contextlib.contextmanager
def standard_streams(status: int = 1) -> Iterator[None]:
    """Run a program whose standard output is an ``Output``, which is written completely at the end."""
    replace_stdout(status)
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
        if type(sys.stderr) not in (io.TextIOWrapper, Messages):  # a caller in the same process put it there
            print(text, file=sys.stderr)
            return
        encoding = sys.stderr.encoding if sys.stderr.isatty() else "utf-8"
        os.write(sys.stderr.fileno(), f"{text}\n".encode(encoding, "replace"))
