"""Render report pages, each a single file without external references."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tapeout.evals.wording import SPACE, number, percent
from tapeout.visible import visible_on_page


def render(template: Path, context: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]]) -> str:
    """Return a page. Equal context gives equal bytes; the template engine escapes all text from data.

    Control characters become visible, such as those that begin a turn in a prompt.

    Args:
        template: its file; it may extend ``base.html.j2`` of this package.
        context: values that it names.
        filters: its own filters, in addition to those of this module.
    """
    environment = Environment(
        loader=FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    common = {
        "number": number,
        "percent": percent,
        "size": size,
        "count": count,
        "listed": listed,
        "category": category,
    }
    environment.filters.update(common, **filters)
    return visible_on_page(environment.get_template(template.name).render(context))


def size(count: int) -> str:
    """Return a size in decimal units, as the terminal prints it."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f}{SPACE}{unit}" if unit == "B" else f"{value:.1f}{SPACE}{unit}"


def count(value: int) -> str:
    """Return an integer in groups of three digits."""
    return f"{value:,}".replace(",", SPACE)


def listed(names: Iterable[str]) -> str:
    """Return names as a list in a sentence."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def category(name: str) -> str:
    """Return the name of a category as words."""
    return name.replace("_", " ")
