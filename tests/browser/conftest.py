"""The browser, and one page of each kind."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.pages import Opened, chromium, opened
from tests.report.evaluation.conftest import make_inputs, report, write_report

__all__ = ["make_inputs", "report", "write_report"]
Open = Callable[..., AbstractContextManager[Opened]]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def open_page(browser: Browser) -> Open:
    """Context manager of a page, with the arguments of ``pages.opened`` after the browser."""
    return partial(opened, browser)


@pytest.fixture(scope="session")
def evaluation_page(report: Path) -> Path:
    return report / "report.html"
