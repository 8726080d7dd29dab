"""Every page in a real browser: nothing is requested, nothing is cut off, every link leads somewhere."""

from pathlib import Path

import pytest

from tests.browser.conftest import Open
from tests.browser.pages import DESKTOP, PHONE

pytestmark = pytest.mark.environment("browser")


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_a_page_is_one_file_without_errors(open_page: Open, evaluation_page: Path, width: int) -> None:
    with open_page(evaluation_page, width) as opened:
        assert (opened.errors, opened.requests) == ([], [])
