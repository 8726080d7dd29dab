"""Names of this machine in the output of a program, which sees its files at other paths and code without comments."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tapeout.graph.errors import InvalidRule, NotAPlainFile
from tapeout.graph.files import read_file
from tapeout.graph.identity.code import digest_tree, parse
from tapeout.graph.identity.code_tree import original_lines
from tapeout.graph.launch.sandbox import ROOT
from tapeout.graph.run.surroundings import FIXED

IN_TRACEBACK = re.compile(r'File "([^"\n]+)", line (\d{1,9})')
MISSING_MODULE = re.compile(r"No module named '?([\w.]+)'?")
MISSING_FILE = re.compile(r"FileNotFoundError: \[Errno \d+\] [^:]*: '([^']+)'")
READ_ONLY = re.compile(r"OSError: \[Errno 30\] [^:]*: '([^']+)'")
NO_NETWORK = ("Temporary failure in name resolution", "Network is unreachable")
IN_CHILD = "CalledProcessError"
"""Part of the last line if another program failed, whose own last line is above the traceback."""
PAGE = "docs/hermeticity.md"
MAX_NAME = 255


class HostPaths:
    """Translation of paths that a program sees into paths of the project and of this machine.

    Args:
        code: tree of the program's code.
        digests: digest of each of its files, by path.
        scratch: its scratch folder.
        temporary: the short path of its temporary folder; links that stand in for mounts are there.
    """

    def __init__(self, code: Path, digests: Mapping[str, str], scratch: Path, temporary: Path) -> None:
        self.digests = digests
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
            line = IN_TRACEBACK.sub(self._original, line).replace(f"{FIXED.code}/", "")
        return line

    def _original(self, match: re.Match[str]) -> str:
        """Return a place in the project's file, unless that was edited since its tree was written."""
        name, line = match[1].removeprefix(f"{FIXED.code}/"), int(match[2])
        if name not in self.digests:
            return match[0]
        with suppress(OSError, NotAPlainFile, InvalidRule, RecursionError):
            content = read_file(Path(name))
            if digest_tree(parse(content, Path(name)), Path(name)) == self.digests[name]:
                line = original_lines(content).get(line, line)
        return f'File "{name}", line {line}'


def _exists(name: str) -> bool:
    with suppress(OSError):  # too long, or not visible for this user
        return Path(name).exists()
    return False


def hidden(lines: Sequence[str]) -> tuple[str, str] | None:
    """Return cause and fix if the end of a program's output says that something is missing which is only hidden."""
    if not lines:
        return None
    last = lines[-1]
    for line in reversed(lines) if IN_CHILD in last else [last]:
        if match := MISSING_MODULE.search(line):
            path = Path(*match[1].split(".")) if len(match[1]) < MAX_NAME else Path("-")
            if path.with_suffix(".py").is_file() or path.is_dir():
                return (
                    f"The module {match[1]} is not part of this step's code.",
                    "Import it with an import statement, or name it in the rule's plugins: a step has only the code "
                    f"that its action lists ({PAGE}).",
                )
    if (match := MISSING_FILE.match(last)) and _exists(match[1]):
        return (
            f"{match[1]} is not an input of this step.",
            "Declare it: an artifact as an input of the rule, a small file's content as a parameter, any other file as "
            f"a source. A step writes only its output and below TMPDIR ({PAGE}).",
        )
    if match := READ_ONLY.match(last):
        return f"{match[1]} is not in the output of this step.", f"Write to the output, or below TMPDIR ({PAGE})."
    if any(text in last for text in NO_NETWORK):
        return (
            "This step has no network.",
            f"Fetch what it needs as a source; only rules with fetches=True can ({PAGE}).",
        )
    return None
