"""Text of others on a terminal or a page: characters that a reader cannot see become visible.

A terminal obeys control characters: it may move the cursor, rewrite lines above, set the clipboard or open links.
Bidirectional controls reverse the order of what follows, and characters without a width hide text or make two
different names look the same. Everything else, such as Chinese, emoji and combining accents, remains as it is.
"""

import re
from collections.abc import Callable

HIDDEN = (
    *((0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5)),
    *((0x180B, 0x180F), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0x2800, 0x2800), (0x3164, 0x3164)),
    *(
        (0xD800, 0xDFFF),
        (0xFE00, 0xFE0F),
        (0xFEFF, 0xFEFF),
        (0xFFA0, 0xFFA0),
        (0xFFF0, 0xFFFB),
        (0x1BCA0, 0x1BCA3),
        (0x1D173, 0x1D17A),
    ),
    (0xE0000, 0xE0FFF),
)
"""First and last code points: controls of C0 and C1, line and paragraph separators, bidirectional controls, characters
without width or ink, selectors of variants, halves of a character, and tags."""
_PICTURE = (
    "[\xa9\xae\u203c\u2049\u2122\u2139\u2194-\u21aa\u231a-\u2328\u23cf\u23e9-\u23fa\u24c2\u25aa-\u25fe"
    "\u2600-\u2767\u2794-\u27bf\u2934\u2935\u2b05-\u2b55\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001f0ff\U0001f170-\U0001faff]"
)
_KEPT = (
    f"(?<={_PICTURE})[\ufe0e\ufe0f]",  # the picture in color, or as text
    "(?<=[0-9#*])\ufe0f(?=\u20e3)",  # on a key
    f"(?:(?<={_PICTURE})|(?<={_PICTURE}\ufe0f))\u200d(?={_PICTURE})",  # one picture of two
    "(?<=[\u1820-\u18aa])[\u180b-\u180d\u180f]",  # the form of a Mongolian letter
)
_CLASS = "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in HIDDEN)
_PATTERN = re.compile(f"{'|'.join(_KEPT)}|([{_CLASS}])")
"""A hidden character is in the group; one that changes what the character before it looks like is not."""


def replace_hidden(text: str, replacement: Callable[[str], str], kept: str = "") -> str:
    """Return a text with every hidden character replaced, except those in ``kept``."""

    def shown(match: re.Match[str]) -> str:
        character = match[1]
        return match[0] if character is None or character in kept else replacement(character)

    return _PATTERN.sub(shown, text)


def visible(text: str, kept: str = "\n\t") -> str:
    r"""Return a text that is safe to print: hidden characters are escaped as in Python, such as ``\x1b``."""
    return replace_hidden(text, _escape, kept)


def visible_on_page(text: str) -> str:
    """Return a page of HTML in which hidden characters are shown as signs: control pictures or ``[U+202E]``."""
    return replace_hidden(text, _sign, "\n\t")


def _sign(character: str) -> str:
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return chr(0x2421 if code == 0x7F else 0x2400 + code)
    return "\ufffd" if 0xD800 <= code < 0xE000 else f"[U+{code:04X}]"


def _escape(character: str) -> str:
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    code = ord(character)
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
