"""Strip comments from Verilog, and reduce texts to a form that lightly edited copies share.

The corpora import this module; it is separate so that an edit of the parsing code does not rebuild them.
"""

import re

TOKEN = re.compile(r'"|//[^\n]*|/\*|\\\S+')
"""Where a string, a comment or an escaped identifier begins."""
STRING = re.compile(r'"((?:\\.|[^"\\\n])*)("?)', re.DOTALL)


def strip_comments(text: str) -> str:
    """Remove ``//`` and ``/* */`` comments, but not inside strings and escaped identifiers.

    A block comment becomes one space; one without an end, and the quote of a string without an end, stay. Each part of
    the text is scanned once, so that the time is linear in its length.
    """
    pieces: list[str] = []
    kept = position = 0
    last_end = text.rfind("*/")
    unterminated = 0  # no string that begins before this position has an end
    while match := TOKEN.search(text, position):
        start, position = match.span()
        token = match.group()
        if token == '"' and start >= unterminated:
            string = STRING.match(text, start)
            if string is not None and string[2]:
                position = string.end()
            elif string is not None:
                unterminated = string.end()
        elif token.startswith("//"):
            pieces.append(text[kept:start])
            kept = position
        elif token == "/*" and position <= last_end:
            pieces += (text[kept:start], " ")
            kept = position = text.index("*/", position) + 2
    return "".join([*pieces, text[kept:]])


def skeleton(text: str, verilog: bool) -> str:
    """Return a text without white space, and without comments if it is Verilog."""
    return "".join((strip_comments(text) if verilog else text).split())
