"""The verdict as one self-contained HTML page."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tapeout.graph.console import format_size as size
from tapeout.provenance.document import Document
from tapeout.visible import visible_on_page

TEMPLATE = "verdict.html.j2"
SENTENCES = {
    "identical": "Every artifact was built again with the same bytes.",
    "equal in values": "Every artifact was built again. Some bytes differ, but all values are equal.",
    "equal within the stated bounds": "Every artifact was built again. Some values differ, all within the bounds of "
    "the export.",
    "different": "Every artifact was built again, and at least one differs.",
}
TONES = {"identical": "good", "equal in values": "good", "equal within the stated bounds": "part", "different": "bad"}
LEVELS = {
    "bytes": ("same bytes", "good"),
    "values": ("same values", "good"),
    "metrics": ("within bounds", "part"),
    "none": ("different", "bad"),
}


def render(result: dict[str, Any], document: Document) -> str:
    """Return the page about a reproduction (``Reproduction.as_json``) of an export."""
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
    page = environment.get_template(TEMPLATE).render(
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
    return visible_on_page(page)
