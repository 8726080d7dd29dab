"""Constructs that no design needs: they reach files, programs or the test bench, or end the simulation.

Generated programs run isolated in any case (``simulation.containment``). This check names what an answer tried, and
refuses what could end the simulation before the test bench reports. An answer may print; that a second report of
success does not count is the rule of the verdict.
"""

import re
from collections.abc import Collection

STRING = r'"""(?:\\.|(?!""").)*"""|"(?:\\.|[^"\\\n])*"'
"""Strings may continue after a backslash at the end of a line, or span lines in three quotation marks."""
ESCAPED = r"\\[!-~]+"
"""Identifiers that begin with a backslash and end at white space; a quotation mark in them begins no string."""
TOKEN = re.compile(rf"//[^\n]*|/\*.*?\*/|{STRING}|{ESCAPED}", re.DOTALL)
IDENTIFIER = re.compile(r"\\[A-Za-z_][\w$]*")
DIRECTIVE = re.compile(r"`\s*(include|systemc_\w+|verilator_config|pragma|line)\b")
TASK = re.compile(
    r"\$(system|finish|stop|exit|c|cpure|root|save|restart|dump\w+|fsdb\w*|f(?:open|close|display[bho]?|write[bho]?"
    r"|strobe[bho]?|monitor[bho]?|read|gets|getc|scanf|seek|tell|flush|eof|error)|ungetc|rewind|sdf_annotate"
    r"|writemem[bh])\b"
)
READ_MEMORY = re.compile(rf"\$readmem[bh]\s*\(\s*({STRING})?", re.DOTALL)
FOREIGN = re.compile(r'\b(import|export)\s*"')
BIND = re.compile(r"(?<![\w$])bind(?![\w$])")


def forbidden(text: str, expanded: str, hidden: Collection[str], data: Collection[str]) -> str:
    """Return the first forbidden construct of a source text; an empty text if it has none.

    Args:
        text: the source text.
        expanded: the same without comments and macros, as it is compiled.
        hidden: names of the modules that no design may use: the test bench and what belongs to it.
        data: files that the design may read.
    """
    code = _code(expanded)
    for part in (_code(text), code):
        if found := DIRECTIVE.search(part):
            return f"`{found[1]}"
    for found in READ_MEMORY.finditer(expanded):
        if (found[1] or "")[1:-1] not in data:
            return "$readmem of a file that the problem does not have"
    if found := TASK.search(code):
        return f"${found[1]}"
    if found := FOREIGN.search(code):
        return f'{found[1]} "DPI"'
    if BIND.search(code):
        return "bind"
    for name in sorted(hidden):
        if re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", code):
            return f"the test bench's module {name}"
    return ""


def _code(text: str) -> str:
    """Return a text without comments and the content of strings, and with escaped identifiers in their plain form."""
    return TOKEN.sub(_plain, text)


def _plain(token: re.Match[str]) -> str:
    if token[0].startswith('"'):
        return '""'
    return token[0][1:] if IDENTIFIER.fullmatch(token[0]) else " "
