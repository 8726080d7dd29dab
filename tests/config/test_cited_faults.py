"""docs/faults.md explains every fault number that a test cites, each once."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
CITED = re.compile(r"(?<![\w#\".])([FDNTG])(\d{1,2})(?:(?:-| to )\1(\d{1,2}))?\b")
NOT_FAULTS = {"F1"}
"""The F1 measure. Names in quotes or after a dot are types of numbers."""


def cited() -> set[str]:
    numbers = set()
    for folder in ("tapeout", "scripts", "rules", "tests", "config"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".smk", ".yaml", ".json", ".j2"}:
                for letter, first, last in CITED.findall(path.read_text()):
                    numbers |= {f"{letter}{number}" for number in range(int(first), int(last or first) + 1)}
    return numbers - NOT_FAULTS


def test_the_page_explains_every_cited_number() -> None:
    rows = re.findall(r"^\| ([A-Z]\d+) \|", (ROOT / "docs" / "faults.md").read_text(), flags=re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert cited() <= set(rows)
