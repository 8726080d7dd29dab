"""The table of attempts: known answers of its functions, then search, filters, links and keys as a reader uses them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tapeout.evals.section import Answered, Mismatch
from tapeout.report.evaluation.attempt_data import page_data
from tapeout.report.evaluation.attempts import attempts_of
from tests.browser.conftest import Open
from tests.browser.pages import DESKTOP, PHONE
from tests.browser.quality import cut_off, inaccessible
from tests.report.evaluation.conftest import MODELS, TASKS, Make, Write, digest

pytestmark = pytest.mark.environment("browser")
HOSTILE = "</script><img src=x onerror=alert(1)>\u2028 <b>"
UNFILTERED = """() => {
  const [found, , all] = document.querySelector('#attempts-table [role=status]').textContent.split(' ');
  return found === all && document.querySelector('#attempts-table tr.detail') === null; }"""
ALL = {
    **TASKS,
    "multiple_choice": ("multiple_choice", {"source": "multiple_choice"}),
    "verilog_generation/toys": ("verilog_generation", {"problems": "problems/toys", "samples": 0, "pass_at": []}),
}


@pytest.fixture(scope="module")
def attempts_page(make_inputs: Make, write_report: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page on three tasks; all wrong answers of the base model to questions are hostile."""
    rates = {model: {"domain": 2.0, "general": 2.0, "exact": 0.3, "choice": 0.4} for model in MODELS}
    files = make_inputs(rates, tasks=ALL)
    [path] = [path for path in files["evaluations"] if path.match("base/instruction_answers/rtl.json")]
    path.write_text(path.read_text().replace('"? < & >"', json.dumps(HOSTILE)))
    return write_report(files, tmp_path_factory.mktemp("attempts") / "report") / "report.html"


@pytest.fixture(scope="module")
def page(open_page: Open, attempts_page: Path) -> Iterator[Page]:
    with open_page(attempts_page) as opened:
        yield opened.page
        assert (opened.errors, opened.requests) == ([], [])


def numbers(attempts_page: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(attempts_page.with_name("report.json").read_bytes())
    return document


def shown(page: Page) -> int:
    return int(page.inner_text("#attempts-table [role=status]").split()[0].replace(",", ""))


@contextmanager
def filtered(page: Page, **fields: str) -> Iterator[None]:
    """Set fields of the form by their labels, then reset it."""
    for name, value in fields.items():
        field = page.locator(f"#attempts-table [name={name}]")
        if name == "query":
            field.fill(value)
        else:
            field.select_option(label=value)
    yield
    page.click("#attempts-table [type=reset]")
    page.wait_for_function(UNFILTERED)


def test_differences_rebuild_both_texts_and_are_those_that_a_reader_expects(page: Page) -> None:
    random = Random(1)
    pairs = [["".join(random.choices("ab \n;", k=random.randrange(12))) for _ in range(2)] for _ in range(200)]
    pairs += [["x" * 9, ""], ["line\n" * 3_000, "line\n" * 2_999 + "other\n"], ["a b\n" * 3_000, "c d\n" * 3_000]]
    found = page.evaluate("pairs => pairs.map(([a, b]) => difference(a, b))", pairs)
    for (before, after), parts in zip(pairs, found, strict=True):
        assert "".join(text for change, text in parts if change <= 0) == before
        assert "".join(text for change, text in parts if change >= 0) == after
    known = page.evaluate("difference('input [3:0] a;', 'input [7:0] data;')")
    assert known == [[0, "input ["], [-1, "3"], [1, "7"], [0, ":0] "], [-1, "a"], [1, "data"], [0, ";"]]
    assert page.evaluate("difference('one two', 'six ten')") == [[-1, "one two"], [1, "six ten"]]
    assert page.evaluate("sharedIn(difference('abcd', 'abcd'))") == 1


def test_highlighting_keeps_the_text_and_bits_are_those_of_the_values(page: Page) -> None:
    code = 'module m; // wire\n assign q = 4\'hF + "end\\"" + end_of; `define A $display /* if'
    runs = page.evaluate("code => highlighted(code)", code)
    assert "".join(text for _, text in runs) == code
    found = {name: [text for kind, text in runs if kind == name] for name in ("keyword", "comment", "number", "string")}
    assert found["keyword"] == ["module", "assign", "`define", "$display"] and found["string"] == ['"end\\""']
    assert found["comment"] == ["// wire", "/* if"] and found["number"] == ["4'hF"]
    bits = page.evaluate("bitsOf('1x', '10')")
    assert "".join(bit["got"] for bit in bits) == "0001xxxx"
    assert [bit["differs"] for bit in bits] == [False] * 4 + [True] * 4


def test_filters_give_the_counts_of_the_report(page: Page, attempts_page: Path) -> None:
    document = numbers(attempts_page)
    attempts = [one for task in document["attempts"].values() for one in task]
    assert shown(page) == len(attempts) == 120 + 80 + 4
    for model in MODELS:
        for kind in ("exact", "near miss", "failure"):
            with filtered(page, model=model, verdict=kind):
                assert shown(page) == sum(one["models"][model]["kind"] == kind for one in attempts)
    with filtered(page, task="Answers to questions: rtl", model="sft", verdict="exact"):
        measure = document["measures"]["rtl.exact_match"]
        assert shown(page) == round(measure["models"]["sft"]["value"] * measure["units"]) > 0
    with filtered(page, task="Verilog generation: toys", verdict="syntax_error"):
        assert shown(page) == 1
    page.check("#attempts-table [name=disagree]")
    assert shown(page) == sum(len({own["kind"] for own in one["models"].values()}) > 1 for one in attempts)
    page.uncheck("#attempts-table [name=disagree]")
    for query, expected in (("PARSE syntax", 1), ("no such words", 0), (digest("toy2")[:12], 1), ("", 204)):
        with filtered(page, query=query):
            assert shown(page) == expected, query


def test_columns_sort_in_both_directions_and_back(page: Page) -> None:
    def column() -> list[str]:
        return page.locator("#attempts-table td[data-model=sft]").all_inner_texts()

    before, heading = column(), page.locator("#attempts-table th", has_text="sft")
    assert {text[0] for text in before} == set("✓≈✗"), "some of each kind come first"
    orders = []
    for state in ("ascending", "descending", "none"):
        heading.locator("button").click()
        assert heading.get_attribute("aria-sort") == state
        orders.append(column())
    ranks = [["✓≈✗".index(text[0]) for text in order] for order in orders]
    assert ranks[0] == sorted(ranks[0]) and ranks[1] == sorted(ranks[1], reverse=True) != ranks[0]
    assert orders[2] == before and len(before) == 50


@pytest.mark.parametrize("length", [16, 64])
def test_a_link_opens_exactly_its_attempt(browser: Browser, attempts_page: Path, length: int) -> None:
    for name in ("row7", "row111"):
        fragment = f"attempt-instruction_answers/rtl-{digest(name)[:length]}"
        context = browser.new_context()
        try:
            page = context.new_page()
            page.goto(f"{attempts_page.as_uri()}#{fragment}")
            opened = page.locator("#attempts-table [aria-expanded=true]")
            assert opened.count() == 1 and opened.evaluate("one => one === document.activeElement")
            assert f"({name.removeprefix('row')})" in page.inner_text("#attempts-table tr.detail")
            link = page.locator("#attempts-table tr.detail a").get_attribute("href")
            assert link == f"#attempt-instruction_answers/rtl-{digest(name)[:16]}"
        finally:
            context.close()


def test_a_link_followed_on_the_page_opens_its_attempt_whatever_is_filtered(page: Page) -> None:
    with filtered(page, query="no such words"):
        assert page.locator("#attempts-table tr.attempt").count() == shown(page) == 0
        page.evaluate("digest => { location.hash = `attempt-multiple_choice-${digest}` }", digest("choice79"))
        page.wait_for_selector("#attempts-table tr.detail")
        assert "What is 79 < & >?" in page.inner_text("#attempts-table tr.detail")
        assert page.locator("#attempts-table tr.attempt").count() == 1
        assert page.inner_text("#attempts-table [role=status]") == "0 of 204 attempts, and the linked one"


@pytest.mark.parametrize(("width", "colors"), [(DESKTOP, "dark"), (PHONE, "light")])
def test_open_attempts_are_accessible_and_fit(open_page: Open, attempts_page: Path, width: int, colors: str) -> None:
    with open_page(attempts_page, width, colors) as opened:
        for task in ("Verilog generation: toys", "Answers to questions: rtl"):
            opened.page.select_option("#attempts-table [name=task]", label=task)
            for index in range(3):
                opened.page.locator("#attempts-table tr.attempt button").nth(index).click()
            assert opened.page.locator("#attempts-table tr.detail").count() == 3
            assert (inaccessible(opened.page), cut_off(opened.page)) == ([], [])


def test_hostile_answers_are_text(page: Page, attempts_page: Path) -> None:
    assert "<img" not in attempts_page.read_text()
    with filtered(page, query="onerror"):
        page.locator("#attempts-table tr.attempt button").first.click()
        detail = page.locator("#attempts-table tr.detail")
        assert "</script><img src=x onerror=alert(1)>[U+2028] <b>" in detail.inner_text()
        assert detail.locator("img, b").count() == page.locator("img").count() == 0


def test_a_failed_design_shows_message_code_and_the_first_wrong_output(page: Page) -> None:
    with filtered(page, task="Verilog generation: toys", verdict="wrong_output"):
        row = page.locator("#attempts-table tr.attempt button").first
        row.focus()
        page.keyboard.press("Enter")
        assert row.get_attribute("aria-expanded") == "true"
        card = page.locator("#attempts-table tr.detail .answers > div", has=page.locator("h3", has_text="sft"))
        assert "The test bench reports a failure." in card.inner_text()
        assert card.locator(".message").inner_text() == "FAIL b is 1, not 6, at 20"
        assert card.locator(".mismatch").locator("dd").all_inner_texts() == [
            *("b at time 20", "0110 = 6 (hex)", "0001 = 1 (hex)")
        ]
        assert card.locator("mark").all_inner_texts() == list("110" + "001")
        assert card.locator("ins").all_inner_texts() == ["1 + "]
        assert page.locator("#attempts-table .code .comment").first.inner_text() == '// "<"'
        page.keyboard.press("Enter")
        assert page.locator("#attempts-table tr.detail").count() == 0


def test_pages_without_scripts_have_the_examples_only_and_paper_has_neither(
    browser: Browser, page: Page, attempts_page: Path
) -> None:
    table, few = page.locator("#attempts-table"), page.locator(".few")
    assert table.is_visible() and not few.is_visible()
    page.emulate_media(media="print")
    assert not table.is_visible() and not few.is_visible()
    assert page.get_by_text("on paper they are left out").is_visible()
    page.emulate_media(media="screen")
    context = browser.new_context(java_script_enabled=False)
    try:
        plain = context.new_page()
        plain.goto(attempts_page.as_uri())
        assert not plain.locator("#attempts-table").is_visible() and plain.locator(".few").is_visible()
        assert plain.locator(".few article").count() == sum(
            len(group["examples"]) for groups in numbers(attempts_page)["examples"].values() for group in groups
        )
    finally:
        context.close()


def with_attempts(attempts_page: Path, text: str, output: Path) -> Path:
    """Write the page with other data of attempts."""
    begin, marker, rest = attempts_page.read_text().partition('id="attempts-data">')
    output.write_text(begin + marker + text + rest[rest.index("</script>") :])
    return output


def test_an_attempt_of_any_length_opens_and_one_that_cannot_be_drawn_stays_closed(
    open_page: Open, attempts_page: Path, tmp_path: Path
) -> None:
    """More arguments than a call takes: 300,000 numbers of code, and a mismatch of 160,000 bits."""
    short, long = ("module m; " + "1 " * count + "endmodule" for count in (45_000, 300_000))
    wide = Mismatch("b", "0" * 40_000, "f" * 40_000, 20)
    answered = {
        digest(name): Answered(name, "", "no", "failure", "c", code=code, mismatch=mismatch)
        for name, code, mismatch in (
            ("short", short, None),
            ("long", long, None),
            ("wide", "", wide),
            ("bad", "", None),
        )
    }
    data = json.loads(page_data([attempts_of("task", "Task", "sft", {"sft": answered})], ["sft"]).text)
    rows = [data["texts"][row[4]] for row in data["rows"]]
    data["rows"][rows.index("bad")][4] = len(data["texts"])  # no such text
    with open_page(with_attempts(attempts_page, json.dumps(data), tmp_path / "long.html")) as opened:
        page = opened.page
        buttons = page.locator("#attempts-table tr.attempt button")
        for index, name in enumerate(rows):
            buttons.nth(index).click()
            assert buttons.nth(index).get_attribute("aria-expanded") == ("false" if name == "bad" else "true"), name
        assert page.locator("tr.detail").count() == 3 and len(opened.errors) == 1
        found = page.locator("tr.detail pre.code").evaluate_all(
            "all => all.map((one) => [one.textContent.length, one.children.length > 0])"
        )
        assert sorted(found) == [[len(short), True], [len(long), False]]
        assert page.locator("tr.detail mark").count() == 2 * 160_000


def test_of_many_attempts_only_some_rows_are_drawn(open_page: Open, attempts_page: Path, tmp_path: Path) -> None:
    """Also on a phone, where nothing is cut off."""
    answered = {digest(f"{n}"): Answered(f"Ask {n}", "yes", "no", "failure", f"c{n % 9}") for n in range(5_000)}
    data = page_data([attempts_of("task", "Task", "sft", dict.fromkeys(MODELS, answered))], list(MODELS))
    with open_page(with_attempts(attempts_page, data.text, tmp_path / "many.html"), PHONE) as opened:
        page = opened.page
        rows = page.locator("#attempts-table tr.attempt")
        assert (shown(page), rows.count()) == (5_000, 50)
        page.click("#attempts-table .more")
        assert rows.count() == 100
        assert rows.nth(50).locator("button").evaluate("one => one === document.activeElement")
        assert page.inner_text("#attempts-table .more") == "Show 50 more of 4900"
        rows.first.locator("button").click()
        assert page.evaluate("document.querySelector('#attempts-table').scrollWidth") <= PHONE
        assert opened.errors == []
