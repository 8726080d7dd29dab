"""Terminal output of the build graph: one line per event, and formatted numbers."""

import signal

from tapeout.streams import write_error
from tapeout.visible import visible

FIX = "  fix: "
"""Prefix of the line of a named error that states the fix."""


def print_line(text: object) -> None:
    """Print a line to stderr, as ``write_error`` does; a terminal obeys nothing in it."""
    write_error(visible(str(text)))


def end_quietly() -> None:
    """Let Ctrl-C end this process at once and without a traceback, unless it is ignored.

    To be called before imports that take time. A program that must not be ended at a moment replaces this there.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # tapeout.cli.start held it back


def format_size(count: float) -> str:
    """Format a number of bytes, e.g. ``1.5 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def format_duration(seconds: float) -> str:
    """Format a duration, e.g. ``4.2 s`` or ``3 min 07 s``."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
