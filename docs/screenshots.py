"""Make the pictures of an evaluation report in docs/screenshots: desktop, dark, phone and print.

``python -m docs.screenshots PAGE`` in the environment ``browser`` (``make screenshots``) opens the page in Debian's
Chromium. Pictures have few colours, so that the repository stays small.
"""

import argparse
import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser

from tests.browser.pages import DESKTOP, PHONE, chromium, opened

FOLDER = Path(__file__).with_name("screenshots")
COLOURS = 128
PAPER = (794, 1123)
"""A4 in CSS pixels."""
MARGIN = 38
"""Chromium's margin of a printed page, in CSS pixels."""


def save(picture: bytes, name: str) -> None:
    """Write a picture with few colours."""
    drawn = Image.open(io.BytesIO(picture)).convert("RGB")
    few = drawn.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(FOLDER / f"{name}.png", optimize=True)


def printed(browser: Browser, page: Path) -> bytes:
    """Return the first printed page."""
    with opened(browser, page, PAPER[0] - 2 * MARGIN, scale=1.5) as paper:
        paper.page.emulate_media(media="print")
        paper.page.add_style_tag(content=f"html {{ margin: {MARGIN}px; }}")
        paper.page.set_viewport_size({"width": PAPER[0], "height": PAPER[1]})
        return paper.page.screenshot()


def main() -> None:
    """Make the pictures of a page."""
    parser = argparse.ArgumentParser(prog="python -m docs.screenshots", description=main.__doc__)
    parser.add_argument("page", type=Path, help="for example results/eval_report/report.html")
    page = parser.parse_args().page
    FOLDER.mkdir(exist_ok=True)
    with chromium() as browser:
        with opened(browser, page, DESKTOP) as desktop:
            save(desktop.page.screenshot(), "desktop")
        with opened(browser, page, DESKTOP, "dark") as dark:
            save(dark.page.screenshot(), "dark")
        with opened(browser, page, PHONE, scale=2) as phone:
            save(phone.page.screenshot(), "phone")
        save(printed(browser, page), "print")


if __name__ == "__main__":
    main()
