"""Texts of data in Markdown documents."""

from tapeout.visible import visible

EXCERPT = 160
"""Characters of a text in a cell."""


def inline(text: str) -> str:
    """Return text of data for Markdown: one line without markup."""
    line = " ".join(visible(text).split())
    return "".join(f"\\{mark}" if mark in "\\`*_[]<>|#" else mark for mark in line)


def cell(text: str) -> str:
    """Return text of data for a cell of Markdown: one line, not too long, without markup."""
    line = " ".join(visible(text).split())
    return inline(line if len(line) <= EXCERPT else f"{line[:EXCERPT]}…")
