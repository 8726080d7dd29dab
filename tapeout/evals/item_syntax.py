"""Syntax of a continued Verilog file, by the parser that also reads the corpus."""

import re

from tapeout.data.rtl.excerpts import parse
from tapeout.evals.completion_points import without_hidden

NATURAL_END = re.compile(r";|\bend[a-z]*\b")
"""Possible ends of an item of a module."""


def is_correct(prefix: str) -> bool:
    """Return whether a file that ends between two items of a module has no syntax errors up to there."""
    return _parses(f"{prefix}\nendmodule\n")


def has_next_item(prefix: str, continuation: str) -> bool:
    """Return whether a file is without syntax errors up to some natural end of what a model wrote.

    Args:
        prefix: the file, up to a place between two items of a module.
        continuation: what the model wrote there. A semicolon alone is no item.
    """
    plain = without_hidden(continuation)
    ends = [match.end() for match in NATURAL_END.finditer(plain) if re.search(r"\w", plain[: match.end()])]
    return any(_parses(_closed(prefix, continuation[:end])) for end in ends)


def _closed(prefix: str, item: str) -> str:
    """Return the file with an item and the end of the module, unless the item is that end."""
    return f"{prefix}{item}\n" if item.endswith("endmodule") else f"{prefix}{item}\nendmodule\n"


def _parses(text: str) -> bool:
    tree, _ = parse(text)
    return not any(diagnostic.isError() for diagnostic in tree.diagnostics)
