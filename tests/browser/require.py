"""Install the browser of the tests if it is missing: ``python3 -m tests.browser.require``."""

import sys

from tests.debian import require

PACKAGES = {"chromium": "chromium"}
"""Debian's package of each program that the tests need."""
FONTS = ["fonts-dejavu-core", "fonts-liberation"]
"""Chromium only recommends them; without a font every character has the width of a box."""

if __name__ == "__main__":
    sys.exit(require("The tests in a real browser", PACKAGES, FONTS, "BROWSER"))
