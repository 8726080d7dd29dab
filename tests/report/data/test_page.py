"""The data report of small sets."""

import html
import re
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.config.inspection import DataReportJob
from tapeout.data.io.jsonl import write_json
from tapeout.data.io.ngrams import word_pattern
from tapeout.inspection.data_summary import summarize
from tapeout.inspection.inspect import inspect
from tapeout.report.data.page import closest, histogram, largest, marked, write_numbers, write_page
from tests.inspection.conftest import Write, document, question, write_set
from tests.inspection.test_inspect import SECRET, encode, job

pytestmark = pytest.mark.environment("data")


class Report:
    """The data report of some sets, all of them training and test sets."""

    def __init__(self, folder: Path, model: Path, sets: dict[str, Path], trained: bool = True) -> None:
        tests = [path / "test.jsonl" for path in sets.values() if (path / "test.jsonl").exists()]
        names = tuple(name for name, path in sets.items() if (path / "test.jsonl").exists())
        inspected = []
        for number, (name, rows) in enumerate(sets.items()):
            encoded = encode(rows, model, folder / f"encoded{number}") if "instructions" in name else None
            inspected.append(folder / f"inspected{number}")
            inspect(rows, encoded, tests, model, job(name, names), inspected[-1], 1)
        options = {"settings": {"ngram_words": 5, "samples": 3}, "sets": list(sets), "tests": names, "steps": names}
        self.job = DataReportJob.model_validate({**options, "trained": names if trained else ()})
        reports = [sets[name] / "report.json" for name in names]
        self.summary = summarize(inspected, reports, self.job)
        write_numbers(self.summary, self.job, folder / "report.json")
        write_page(self.summary, self.job, tests, folder / "report.html")
        self.numbers: dict[str, Any] = orjson.loads((folder / "report.json").read_bytes())
        self.page = (folder / "report.html").read_text()


def write_contaminated(folder: Path, model: Path) -> Report:
    """Write a report on two sets; a test row of one is in the training split of the other."""
    write = partial(write_set, folder)
    corpus = write("corpus/domain", train=[document(f"before {SECRET} after")], test=[document("all of it is new")])
    questions = write(
        "instructions/x",
        train=[question("How wide is a?", "wire [3:0] a;", category="width"), question("Which one?", "it", "h")],
        validation=[question("How many?", "3", "i")],
        test=[question(SECRET, "yes", "j")],
    )
    part = {"documents": 1}
    write_json(corpus / "report.json", {"sources": {}, "train": part, "test": part})
    write_json(questions / "report.json", {"rows": {"train": 3}, "dropped": {"same": {"count": 1}}, "changed": {}})
    return Report(folder, model, {"corpus/domain": corpus, "instructions/x": questions})


@pytest.fixture
def contaminated(model: Path, tmp_path: Path) -> Report:
    return write_contaminated(tmp_path, model)


def test_the_page_shows_the_contaminated_row_and_the_gate_that_stops(contaminated: Report) -> None:
    page, gates = contaminated.page, contaminated.numbers["gates"]
    assert f"1 of {len(gates)} gates stop training" in page and "✗ stops training" in page
    assert f"<mark>{html.escape(SECRET)}</mark>" in page
    assert "instructions/x in corpus/domain" in page and "http" not in page
    assert contaminated.numbers["contamination"]["corpus/domain"]["instructions/x"]["contaminated"] == 1
    assert [gate["subject"] for gate in gates if not gate["passed"]] == ["test rows of instructions/x in corpus/domain"]


def test_the_closest_row_below_the_limit_is_shown_with_its_overlap(write: Write, model: Path, tmp_path: Path) -> None:
    """Six shared words have two n-grams of five, of the 16 that 20 words have; the other test row shares one of 16."""
    shared, other = "one two three four five six", " ".join(f"word{number}" for number in range(14))
    less = shared.rpartition(" ")[0] + " " + other.replace("word", "mark") + " end"
    rows = write(
        "corpus/domain",
        train=[document(f"before {shared} after")],
        test=[document(f"{shared} {other}"), document(less)],
    )
    part = {"documents": 1}
    counts = {"core": {"dropped": {"other kind": 7, "too large": 3}, "repaired": {}}}
    write_json(rows / "report.json", {"sources": counts, "train": part, "test": part})
    report = Report(tmp_path, model, {"corpus/domain": rows})
    ((pair, (row,)),) = closest(report.summary, 0.5).items()
    assert (pair, row.fraction) == (("corpus/domain", "corpus/domain"), 2 / 16)
    assert closest(report.summary, 2 / 16)[pair][0].fraction == 1 / 16 and closest(report.summary, 1 / 16) == {}
    page = re.sub(r"\s+", " ", report.page)
    assert f"<mark>{shared}</mark> {other}" in page and "Closest to the limit" in page
    assert "other kind<small>not selected</small>" in page and "too large</td>" in page


def test_the_page_shows_the_loss_mask(contaminated: Report) -> None:
    assert '<span class="loss">' in contaminated.page
    rows = {row["category"]: row["pieces"] for row in contaminated.summary.samples["instructions/x"]}
    assert [bit for _, bit in rows["width"]].count(1) > 1


def test_text_of_data_is_escaped_and_control_characters_are_visible(write: Write, model: Path, tmp_path: Path) -> None:
    evil = "<script>alert('&')</script>\x00\x11\x7f\x85\u202e"
    documents = [{**document(f"{SECRET} {evil}", source=evil), "path": evil, "licence": evil}]
    questions = [{**question(f"{SECRET} {evil}", "yes", evil, evil), "source": evil}]
    corpus = write("corpus/domain", train=documents, test=documents)
    rows = write("instructions/x", train=questions, validation=questions, test=questions)
    counts = {evil: {"dropped": {evil: 1}, "repaired": {evil: 1}}}
    write_json(corpus / "report.json", {"sources": counts, "train": {"documents": 1}, "test": {"documents": 1}})
    write_json(rows / "report.json", {"rows": {"train": 1}, "dropped": {evil: {"count": 1}}, "changed": {evil: 1}})
    page = Report(tmp_path, model, {"corpus/domain": corpus, "instructions/x": rows}).page
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "␀␑␡[U+0085][U+202E]" in page and not re.search("[^\t\n -~\u00a0-\U0010ffff]|\u202e", page)


def test_sets_without_test_rows_and_without_training_rows_have_a_page(
    write: Write, model: Path, tmp_path: Path
) -> None:
    corpus, shard = write("corpus/domain", train=[document("some text")], test=[]), write("shard", documents=[])
    write_json(corpus / "report.json", {"sources": {}, "train": {"documents": 1}, "test": {"documents": 0}})
    report = Report(tmp_path, model, {"corpus/domain": corpus, "pretraining/shards/0000": shard}, trained=False)
    assert "no rows" in report.page
    assert report.numbers["contamination"]["pretraining"] == {}
    assert all(0 <= gate["fraction"] <= 1 for gate in report.numbers["gates"])
    unmeasured = [gate["subject"] for gate in report.numbers["gates"] if not gate["total"]]
    assert "held-out rows of corpus/domain" in unmeasured and "within the limits that were measured" in report.page
    lines = {subject: line for line in report.page.splitlines() for subject in unmeasured if f">{subject}<" in line}
    verdicts = report.page.count('<td class="text tone open">nothing to measure</td>')
    assert (len(lines), verdicts) == (len(unmeasured), len(unmeasured)), "no green verdict on nothing"


@given(st.text(alphabet="ab =(\n<", max_size=60), st.data())
def test_the_overlap_is_marked_and_no_character_is_lost(text: str, data: st.DataObject) -> None:
    words = list(word_pattern(text).finditer(text))
    if len(words) < 2:
        return
    first = data.draw(st.integers(0, len(words) - 2))
    last = data.draw(st.integers(first, len(words) - 2))
    parts = marked(text, ((first, last),), 2)
    assert "".join(part.text for part in parts if part.overlaps) == text[words[first].start() : words[last + 1].end()]
    assert "".join(part.text for part in parts) == text


def test_a_long_text_is_shown_from_shortly_before_the_overlap() -> None:
    text = "x " * 2000 + "the shared part of it" + " y" * 2000
    parts = marked(text, ((2000, 2003),), 2)
    shown = "".join(part.text for part in parts)
    assert shown.startswith("… ") and shown.endswith(" …") and len(shown) < 1000
    assert [part.text for part in parts if part.overlaps] == ["the shared part of it"]


def test_tables_and_bars_lose_nothing() -> None:
    counts = {f"k{number}": number for number in range(1, 30)}
    assert sum(number for _, number in largest(counts)) == sum(counts.values())
    assert histogram({"16": 2, "64": 4}) == [(16, 2, 0.5), (32, 0, 0.0), (64, 4, 1.0)]
