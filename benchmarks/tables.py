"""Write the outcome of a benchmark: a page with its figures."""

from pathlib import Path


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(page: Path, paragraphs: list[str]) -> None:
    """Write ``page``, and print it."""
    page.write_text("\n\n".join(paragraphs) + "\n")
    print(page.read_text())
