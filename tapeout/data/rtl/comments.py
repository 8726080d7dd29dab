"""Strip comments from Verilog, and reduce texts to a form that lightly edited copies share.

The corpora import this module; it is separate so that an edit of the parsing code does not rebuild them.
"""

import re

TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def strip_comments(text: str) -> str:
    """Remove ``//`` and ``/* */`` comments, but not inside strings; a block comment becomes one space."""

    def replace(match: re.Match[str]) -> str:
        token = match.group()
        if token.startswith('"'):
            return token
        return " " if token.startswith("/*") else ""

    return TOKEN.sub(replace, text)


def skeleton(text: str, verilog: bool) -> str:
    """Return a text without white space, and without comments if it is Verilog."""
    return "".join((strip_comments(text) if verilog else text).split())
