"""Draw the packages and their imports into docs/architecture.md: ``make picture``.

The pictures are Mermaid graphs between two marks of the page, made from the import statements of the code. An arrow
points from a package to one that it imports; an arrow that follows from two others is left out.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
INSIDE = ("graph", "data")
"""Packages with a separate picture."""
GROUND = ("combinations", "errors", "namespaces", "plugins", "program", "progress")
"""Modules that any package may import; arrows to them are left out."""

Arrows = dict[str, set[str]]


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted names of the project's modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tapeout"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("tapeout."))


def arrows(package: str = "") -> Arrows:
    """Return which parts of a package import which others.

    Args:
        package: one of ``INSIDE``; the whole library if empty.
    """
    top = ROOT / "tapeout" / package
    depth = len(top.relative_to(ROOT).parts)
    prefix = ".".join(top.relative_to(ROOT).parts) + "."
    found: Arrows = {}
    for path in sorted(top.rglob("*.py")):
        part = path.relative_to(top).with_suffix("").parts[0]
        if part in ("__init__", *GROUND):
            continue
        to = {name.split(".")[depth] for name in imports(path) if name.startswith(prefix)}
        found.setdefault(part, set()).update(to - {part, *GROUND})
    return found


def reachable(found: Arrows, start: str) -> set[str]:
    """Return everything that ``start`` imports, directly or not."""
    seen: set[str] = set()
    waiting = list(found.get(start, ()))
    while waiting:
        part = waiting.pop()
        if part not in seen:
            seen.add(part)
            waiting += found.get(part, ())
    return seen


def reduced(found: Arrows) -> Arrows:
    """Leave out each arrow that follows from two others.

    Raises:
        SystemExit: the imports form a cycle.
    """
    circles = sorted(part for part in found if part in reachable(found, part))
    if circles:
        sys.exit(f"These parts import each other: {', '.join(circles)}.")
    return {
        part: {one for one in to if not any(one in reachable(found, other) for other in to if other != one)}
        for part, to in found.items()
    }


def drawn(found: Arrows) -> str:
    """Return a Mermaid graph."""
    lines = [f"  {part} --> {' & '.join(sorted(to))}" if to else f"  {part}" for part, to in sorted(found.items())]
    return "\n".join(["```mermaid", "graph TD", *lines, "```"])


def page(text: str) -> str:
    """Return the page with its pictures redrawn."""
    for package in ("", *INSIDE):
        begin, end = f"<!-- picture {package or 'tapeout'} -->\n", "\n<!-- end of picture -->"
        if begin not in text or end not in text.partition(begin)[2]:
            sys.exit(f"docs/architecture.md has no place for a picture.\n  fix: Add the lines {begin + end.strip()!r}.")
        before, _, rest = text.partition(begin)
        after = rest.partition(end)[2]
        text = f"{before}{begin}{drawn(reduced(arrows(package)))}{end}{after}"
    return text


def main() -> None:
    """Draw the pictures, or with --check fail if they are out of date."""
    parser = argparse.ArgumentParser(prog="python docs/picture.py", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a picture is out of date")
    check = parser.parse_args().check
    old = PAGE.read_text()
    new = page(old)
    if check and new != old:
        sys.exit("docs/architecture.md shows other packages than the code has.\n  fix: Run make picture.")
    if not check:
        PAGE.write_text(new)


if __name__ == "__main__":
    main()
