"""Commands and links of the documentation, as its pages state them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", *(str(page.relative_to(ROOT)) for page in sorted(ROOT.glob("docs/*.md"))))

PROGRAMS = ("make", "snakemake", "tapeout", "bin/tapeout", "python", "$PYTHON", "pip", "openssl", "sha256sum", "git")
PROGRAMS += ("rocrate-validator", "docker", "apptainer", "enroot", "srun", "sbatch", ".")
COMMAND = re.compile(rf"\s*(?:[A-Z_]+=\S+ )*(?:{'|'.join(map(re.escape, PROGRAMS))}) \S")
SPAN = re.compile(r"`([^`]+)`")
FENCE = re.compile(r"^```(.*)$")
SHELL = ("", "sh", "bash", "console")


@dataclass(frozen=True)
class Command:
    """A command and the place where a page states it."""

    text: str
    page: str
    line: int


def commands(page: str, text: str) -> Iterator[Command]:
    """Yield the commands of a page: lines of shell and indented blocks, and spans of code in sentences.

    A comment after two blanks and ``#`` is left out.
    """
    fence: str | None = None
    prose: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if found := FENCE.match(line.strip()):
            fence = None if fence is not None else found[1]
            prose.append("")
        elif fence is not None or line.startswith("    "):
            prose.append("")
            if (fence or "") in SHELL and COMMAND.match(line):
                yield Command(re.split(r"\s+#", line.strip())[0], page, number)
        else:
            prose.append(line)
    joined = "\n".join(prose)
    for span in SPAN.finditer(joined):
        if COMMAND.match(text := " ".join(span[1].split())):
            yield Command(text, page, joined.count("\n", 0, span.start()) + 1)


def all_commands() -> list[Command]:
    """Return the commands of all pages, each text once, in the order of the pages."""
    found = [command for page in PAGES for command in commands(page, (ROOT / page).read_text())]
    return list({command.text: command for command in reversed(found)}.values())[::-1]


def links(page: str) -> Iterator[tuple[str, str]]:
    """Yield path and anchor of each link of a page to another file of the project."""
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text()):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            yield path, anchor
