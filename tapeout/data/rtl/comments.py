"""Verilog text without its comments, and texts reduced to what is the same in lightly edited copies."""

import re

TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)


def strip_comments(text: str) -> str:
    """Remove ``//`` and ``/* */`` comments, but not from inside strings; a block comment leaves one blank."""

    def replace(match: re.Match[str]) -> str:
        found = match.group()
        if found.startswith('"'):
            return found
        return " " if found.startswith("/*") else ""

    return TOKEN.sub(replace, text)


def skeleton(text: str, verilog: bool) -> str:
    """Text without white space, and without comments if it is Verilog: equal for copies that differ in those only."""
    return "".join((strip_comments(text) if verilog else text).split())
