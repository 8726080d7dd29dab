"""The verdict as one HTML page without any reference to another."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tapeout.provenance.document import Document

TEMPLATE = "verdict.html.j2"
SENTENCES = {
    "identical": "Every artifact was built again and every byte of it is the same.",
    "equal in values": "Every artifact was built again. Not every byte is the same, but every value is.",
    "equal within the stated bounds": "Every artifact was built again. Some values differ, all within the bounds that "
    "the export states.",
    "different": "Every artifact was built again, and at least one of them is not the same.",
}
TONES = {"identical": "good", "equal in values": "good", "equal within the stated bounds": "part", "different": "bad"}
LEVELS = {
    "bytes": ("same bytes", "good"),
    "values": ("same values", "good"),
    "metrics": ("within bounds", "part"),
    "none": ("different", "bad"),
}


def render(result: dict[str, Any], document: Document) -> str:
    """Write the page.

    Args:
        result: ``Reproduction.as_json``.
        document: what was exported.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["size"] = size
    rows = result["artifacts"]
    return environment.get_template(TEMPLATE).render(
        result=result,
        rows=rows,
        sentence=SENTENCES[result["verdict"]],
        tone=TONES[result["verdict"]],
        levels=LEVELS,
        same=sum(row["level"] == "bytes" for row in rows),
        first=next((row for row in rows if row["artifact"] == result["first_difference"]), None),
        environments=document.environments,
        python=document.python,
    )


def size(count: int) -> str:
    """A number of bytes in decimal units."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
