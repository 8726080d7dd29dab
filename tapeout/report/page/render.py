"""Render report pages, each a single file without external references."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tapeout.evals.wording import SPACE, number, percent
from tapeout.visible import visible_on_page

HEADING = re.compile(r"<h2>(.*?)</h2>")
MANY = 4
"""Fewest sections of a page for a list of contents."""


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
    return with_contents(visible_on_page(environment.get_template(template.name).render(context)))


def with_contents(page: str) -> str:
    """Return a page whose sections have permanent links, and a list of them after its header if there are many."""
    known: Counter[str] = Counter()
    links = []

    def linked(heading: re.Match[str]) -> str:
        title = heading[1]
        name = re.sub(r"[^a-z0-9]+", "-", re.sub(r"<[^>]*>|&\w+;", " ", title).lower()).strip("-") or "section"
        known[name] += 1
        anchor = name if known[name] == 1 else f"{name}-{known[name]}"
        links.append(f'<li><a href="#{anchor}">{title}</a></li>')
        return f'<h2 id="{anchor}"><a href="#{anchor}">{title}</a></h2>'

    page = HEADING.sub(linked, page)
    if len(links) < MANY:
        return page
    contents = f'<nav class="contents" aria-label="Contents"><ul>{"".join(links)}</ul></nav>'
    return page.replace("</header>\n", f"</header>\n{contents}\n", 1)


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
