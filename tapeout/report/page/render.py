"""Templates to pages: one file each, without any reference to another."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tapeout.report.page import wording

FILTERS = ("number", "percent", "count", "size", "category", "listed")


def render(template: Path, context: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]]) -> str:
    """Write a page. Equal context gives equal bytes; all text from data is escaped by the template engine.

    Args:
        template: its file; ``style.css`` beside this module can be included.
        context: what it names.
        filters: the template's own, beside those of ``wording``.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({name: getattr(wording, name) for name in FILTERS}, **filters)
    return environment.get_template(template.name).render(context)
