"""Terminal output of the build graph: one line per event, and formatted numbers."""

from tapeout.streams import write_error as print_line

__all__ = ["FIX", "format_duration", "format_size", "print_line"]

FIX = "  fix: "
"""Prefix of the line of a named error that states the fix."""


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
