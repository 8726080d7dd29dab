"""Names of modules in Verilog texts, found by pattern: defined ones, and those that another module instantiates."""

import re

COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
DEFINITION = re.compile(r"\bmodule\s+(?:automatic\s+|static\s+)?([A-Za-z_]\w*)")


def modules(text: str) -> list[str]:
    """Return the names of the modules that a text defines, in order."""
    return DEFINITION.findall(COMMENT.sub(" ", text))


def instantiates(text: str, module: str) -> bool:
    """Return whether a text contains an instance of a module, with or without parameters."""
    instance = rf"(?<!module )\b{re.escape(module)}\s+(?:#\s*\(.*?\)\s*)?[A-Za-z_]\w*\s*(?:\[[^]]*\]\s*)?\("
    return re.search(instance, COMMENT.sub(" ", text), re.DOTALL) is not None


def tops(text: str) -> list[str]:
    """Return the names of the modules of a text that it does not instantiate itself."""
    return [name for name in modules(text) if not instantiates(text, name)]
