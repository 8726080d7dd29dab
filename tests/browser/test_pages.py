"""Every page in a real browser: nothing is requested, nothing is cut off, every link leads somewhere."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.browser.conftest import Open
from tests.browser.pages import DESKTOP, PHONE
from tests.browser.quality import broken_links, cut_off, inaccessible, invisible_focus, printed_pages, unfold

pytestmark = pytest.mark.environment("browser")

NAMES = ("evaluation", "data", "sweep", "comparison")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_a_page_is_one_file_and_nothing_is_cut_off(
    open_page: Open, pages: Mapping[str, Path], name: str, width: int
) -> None:
    with open_page(pages[name], width) as opened:
        folded = cut_off(opened.page)
        unfold(opened.page)
        assert (folded, cut_off(opened.page)) == ([], [])
        assert broken_links(opened.page) == []
        assert (opened.errors, opened.requests) == ([], [])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("width", "colors"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_a_page_is_accessible(open_page: Open, pages: Mapping[str, Path], name: str, width: int, colors: str) -> None:
    with open_page(pages[name], width, colors) as opened:
        unfold(opened.page)
        assert inaccessible(opened.page) == []
        assert invisible_focus(opened.page) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_printed_without_folded_details(open_page: Open, pages: Mapping[str, Path], name: str) -> None:
    with open_page(pages[name]) as opened:
        assert printed_pages(opened.page) < 8
