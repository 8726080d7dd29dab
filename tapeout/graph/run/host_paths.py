"""Names of this machine in the output of a program, which sees its files at other paths and code without comments."""

import re
from contextlib import suppress
from pathlib import Path

from tapeout.graph.errors import InvalidRule
from tapeout.graph.identity.code_tree import original_lines
from tapeout.graph.launch.sandbox import ROOT
from tapeout.graph.run.surroundings import FIXED

IN_TRACEBACK = re.compile(r'File "([^"\n]+)", line (\d+)')
MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")
MISSING_FILE = re.compile(r"FileNotFoundError: \[Errno \d+\] [^:]*: '([^']+)'")


class HostPaths:
    """Translation of paths that a program sees into paths of the project and of this machine.

    Args:
        code: tree of the program's code.
        scratch: its scratch folder.
        temporary: the short path of its temporary folder; links that stand in for mounts are there.
    """

    def __init__(self, code: Path, scratch: Path, temporary: Path) -> None:
        self.prefixes = [
            (f"{temporary}{ROOT}/", f"{ROOT}/"),
            (f"{code}/", f"{FIXED.code}/"),
            (f"{FIXED.scratch}/", f"{scratch}/"),
            (f"{ROOT}/here/", ""),
        ]

    def translate(self, line: str) -> str:
        """Return a line with paths of this machine, and in tracebacks with the lines of the project's files."""
        for seen, own in self.prefixes:
            line = line.replace(seen, own)
        if FIXED.code in line:
            line = IN_TRACEBACK.sub(_original, line).replace(f"{FIXED.code}/", "")
        return line


def _original(match: re.Match[str]) -> str:
    if not match[1].startswith(f"{FIXED.code}/"):
        return match[0]
    path, line = Path(match[1].removeprefix(f"{FIXED.code}/")), int(match[2])
    with suppress(OSError, InvalidRule):  # edited meanwhile
        line = original_lines(path).get(line, line)
    return f'File "{path}", line {line}'


def hidden(line: str) -> tuple[str, str] | None:
    """Return cause and fix if the last line of a program says that something is missing which is only hidden."""
    if match := MISSING_MODULE.match(line):
        path = Path(*match[1].split("."))
        if path.with_suffix(".py").is_file() or path.is_dir():
            return (
                f"The module {match[1]} is not part of this step's code.",
                "Import it with an import statement, or name it in the rule's plugins: a step has only the code that "
                "its action lists (docs/hermeticity.md).",
            )
    if (match := MISSING_FILE.match(line)) and Path(match[1]).exists():
        return (
            f"{match[1]} is not an input of this step.",
            "Declare it: an artifact as an input of the rule, a small file's content as a parameter, any other file as "
            "a source (docs/hermeticity.md).",
        )
    return None
