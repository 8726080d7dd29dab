"""How the layer speaks on the terminal: one line for each thing, in one write, with sizes as people say them."""

import os
import sys

FIX = "  fix: "
"""How the line of a named error that says what to do begins."""


def say(text: str) -> None:
    """One write, so that the lines of steps that run side by side never mix."""
    os.write(sys.stderr.fileno(), f"{text}\n".encode())


def size(count: float) -> str:
    """A number of bytes as a person says it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def clock(seconds: float) -> str:
    """A time as a person says it, with tenths of a second where they count."""
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
