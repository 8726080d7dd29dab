"""Write the outcome of a benchmark: a page for people, and the same figures as JSON."""

import json
from pathlib import Path
from typing import Any


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(page: Path, paragraphs: list[str], figures: Any) -> None:
    """Write ``page`` and, beside it, the figures."""
    page.write_text("\n\n".join(paragraphs) + "\n")
    page.with_suffix(".json").write_text(json.dumps(figures, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    print(page.read_text())
