"""Texts of data in Markdown documents."""

from tapeout.visible import visible

EXCERPT = 160
"""Characters of a text in a cell."""


def cell(text: str) -> str:
    """Return text of data for Markdown: one line, not too long, without markup."""
    line = " ".join(visible(text).split())
    line = line if len(line) <= EXCERPT else f"{line[:EXCERPT]}…"
    return "".join(f"\\{mark}" if mark in "\\`*_[]<>|#" else mark for mark in line)
