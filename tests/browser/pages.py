"""Pages in Debian's Chromium: opened from a file, with a record of what a reader would not see."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

DESKTOP, PHONE = 1400, 390
"""Widths in CSS pixels."""
HEIGHT = {DESKTOP: 900, PHONE: 844}


@dataclass
class Opened:
    """A page in the browser.

    Attributes:
        page: Playwright's page.
        errors: console errors and uncaught exceptions so far.
        requests: addresses that were requested so far, other than the file's.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start Debian's Chromium.

    Raises:
        FileNotFoundError: it is not installed.
    """
    program = shutil.which("chromium")
    if program is None:
        raise FileNotFoundError("chromium is not installed; run: python3 -m tests.browser.require")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser, path: Path, width: int = DESKTOP, colors: Literal["light", "dark"] = "light", scale: float = 1
) -> Iterator[Opened]:
    """Open a file in a profile of its own.

    Args:
        browser: see ``chromium``.
        path: the page.
        width: of the window, in CSS pixels; a narrow one is a touch screen.
        colors: colour scheme that the reader prefers.
        scale: pixels of the screen for a CSS pixel.
    """
    address = path.absolute().as_uri()
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT.get(width, 900)},
        color_scheme=colors,
        device_scale_factor=scale,
        has_touch=width <= PHONE,
        reduced_motion="reduce",
    )
    try:
        seen = Opened(context.new_page())
        seen.page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
        seen.page.on("pageerror", lambda error: seen.errors.append(str(error)))
        seen.page.on(
            "request",
            lambda request: seen.requests.append(request.url) if request.url.partition("#")[0] != address else None,
        )
        seen.page.goto(address)
        yield seen
    finally:
        context.close()
