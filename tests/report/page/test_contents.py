"""Sections of a page: each has a link of its own, and pages with many list them."""

import re

from tapeout.report.page.render import with_contents


def test_every_section_has_one_link_and_long_pages_list_them() -> None:
    titles = ["Models", "Instructions: rtl", "Models", "Größe &amp; <b>Form</b>", "…"]
    page = "<header></header>\n" + "".join(f"<h2>{title}</h2>\n" for title in titles)
    linked = with_contents(page)
    anchors = re.findall(r'<h2 id="([^"]+)">', linked)
    assert anchors == ["models", "instructions-rtl", "models-2", "gr-e-form", "section"]
    assert re.findall(r'<li><a href="#([^"]+)">', linked) == anchors
    assert linked.index("<nav") < linked.index("<h2")
    short = with_contents("<header></header>\n<h2>One</h2>")
    assert "<nav" not in short and '<h2 id="one"><a href="#one">One</a></h2>' in short
