"""Constructs that no design needs: they reach files, programs or the test bench, or end the simulation.

Generated programs run isolated in any case (``simulation.containment``). This check names what an answer tried, and
keeps it from printing a verdict in place of the test bench.
"""

import re
from collections.abc import Collection

STRING = re.compile(r'"(?:\\.|[^"\\\n])*"')
DIRECTIVE = re.compile(r"`\s*(include|systemc_\w+|verilator_config|pragma|line)\b")
TASK = re.compile(
    r"\$(system|finish|stop|exit|c|cpure|root|save|restart|dump\w+|fsdb\w*|f(?:open|close|display[bho]?|write[bho]?"
    r"|strobe[bho]?|monitor[bho]?|read|gets|getc|scanf|seek|tell|flush|eof|error)|ungetc|rewind|sdf_annotate"
    r"|writemem[bh])\b"
)
READ_MEMORY = re.compile(r'\$readmem[bh]\s*\(\s*("(?:\\.|[^"\\\n])*")?')
FOREIGN = re.compile(r'\b(import|export)\s*"')


def forbidden(text: str, expanded: str, bench: str, data: Collection[str]) -> str:
    """Return the first forbidden construct of a source text; an empty text if it has none.

    Args:
        text: the source text.
        expanded: the same without comments and macros.
        bench: name of the top module of the test bench.
        data: files that the design may read.
    """
    if found := DIRECTIVE.search(STRING.sub('""', text)):
        return f"`{found[1]}"
    for found in READ_MEMORY.finditer(expanded):
        if (found[1] or "")[1:-1] not in data:
            return "$readmem of a file that the problem does not have"
    code = STRING.sub('""', expanded)
    if found := TASK.search(code):
        return f"${found[1]}"
    if found := FOREIGN.search(code):
        return f'{found[1]} "DPI"'
    if bench and re.search(rf"(?<![\w$]){re.escape(bench)}(?![\w$])", code):
        return f"the test bench {bench}"
    return ""
