"""The report as a whole, made by its program from inputs on disk."""

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.report import ReportJob
from tapeout.evals.result import UnreadableEvaluation
from tapeout.report.evaluation.figures import NothingInCommon
from tapeout.report.evaluation.inputs import UnreadableReportInput
from tapeout.report.evaluation.provenance import UnknownProvenance

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[2]
Make = Callable[..., dict[str, Any]]
Write = Callable[[dict[str, Any], Path], Path]


@pytest.fixture(scope="session")
def write_report() -> Write:
    """The program's main function, from inputs to an output folder."""
    main = runpy.run_path(str(ROOT / "scripts" / "eval_report.py"))["main"].__wrapped__

    def write(files: dict[str, Any], output: Path) -> Path:
        params = ReportJob.model_validate_json(files["params"].read_bytes())
        main(params, **{name: value for name, value in files.items() if name != "params"}, output=output)
        return output

    return write


@pytest.fixture(scope="session")
def report(make_inputs: Make, write_report: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_inputs(), tmp_path_factory.mktemp("good") / "report")


def run_program(files: dict[str, Any], output: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/eval_report.py", "--output", str(output)]
    for name, value in files.items():
        for each in value if isinstance(value, list) else [value]:
            command += ["--" + name.replace("_", "-"), str(each)] if name != "action" else []
    action = {"TAPEOUT_ACTION": str(files["action"])} if "action" in files else {}
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **action, **environment}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


class Elements(HTMLParser):
    """Collects ids and attributes that load something, and checks that tags are balanced."""

    VOID = {"meta", "br", "img", "link", "input", "hr", "path", "use"}

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.loads: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href") and not (value or "").startswith("#"):
                self.loads.append(value or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()


def test_another_process_writes_the_same_bytes(make_inputs: Make, report: Path, tmp_path: Path) -> None:
    files = make_inputs()
    action = str(files.pop("action"))
    done = run_program(files, tmp_path / "again", TAPEOUT_ACTION=action, PYTHONHASHSEED="7")
    assert done.returncode == 0, done.stderr
    for name in ("report.html", "report.json"):
        assert (tmp_path / "again" / name).read_bytes() == (report / name).read_bytes()


def test_missing_input_is_one_sentence_and_leaves_nothing(make_inputs: Make, tmp_path: Path) -> None:
    files = make_inputs()
    files["sft"].unlink()
    done = run_program(files, tmp_path / "report")
    assert done.returncode == 1
    assert "UnreadableReportInput" in done.stderr and "fix:" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "report").exists()


def test_page_is_self_contained(report: Path) -> None:
    page = (report / "report.html").read_text()
    elements = Elements(page)
    assert elements.open == []
    assert elements.loads == []
    assert "script" not in elements.tags and "link" not in elements.tags
    assert "http" not in page and "@import" not in page and "url(http" not in page
    assert len(elements.ids) == len(set(elements.ids)) > 100
    for target in re.findall(r"url\(#([^)]*)\)|href=\"#([^\"]*)\"", page):
        assert "".join(target) in elements.ids


def test_plots_take_their_colours_from_the_page(report: Path) -> None:
    page = (report / "report.html").read_text()
    plots = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(plots) == 4
    for plot in plots:
        assert "var(--ink)" in plot and "font-family" not in plot and "<style" not in plot
        assert set(re.findall(r"#[0-9a-f]{6}\b", plot)) <= {"#ffffff"}


def test_data_is_escaped(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>&amp;"
    page = (write_report(make_inputs(prompt=evil), tmp_path / "report") / "report.html").read_text()
    assert "<script" not in page and "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;&amp;amp;" in page


def test_category_names_are_escaped_in_plots(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    files = make_inputs()
    for model in ("base", "dapt", "sft"):
        files[model].write_text(files[model].read_text().replace('"list_ports"', '"a<script>$x$"'))
    page = (write_report(files, tmp_path / "report") / "report.html").read_text()
    assert "<script" not in page
    assert page.count("a&lt;script&gt;$x$") >= 3


def test_blank_answers_take_no_space(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    files = make_inputs()
    files["base"].write_text(files["base"].read_text().replace('"? < & >"', json.dumps("\n" * 90)))
    files["dapt"].write_text(files["dapt"].read_text().replace('"? < & >"', json.dumps("\n a\n b\n\n\n")))
    page = (write_report(files, tmp_path / "report") / "report.html").read_text()
    assert "only blanks</pre>" in page and "<pre>a\n b</pre>" in page


def test_every_number_names_what_is_behind_it(report: Path) -> None:
    document = json.loads((report / "report.json").read_bytes())
    digests = {origin["label"]: origin["digest"] for origin in document["artifacts"]}
    assert document["bits_per_byte"]["domain"]["models"]["dapt"]["behind"] == {
        name: digests[name] for name in ("corpus/domain", "dapt/model", "evaluation/dapt.json")
    }
    assert document["exact_match"]["by_category"]["list_ports"]["models"]["sft"]["behind"] == {
        name: digests[name] for name in ("evaluation/sft.json", "instructions/splits", "sft/model")
    }
    assert document["tokens_per_byte"]["general"]["behind"].keys() == {"corpus/general", "tokenizer/report.json"}
    page = (report / "report.html").read_text()
    assert all(digest in page for digest in digests.values())
    sizes = {origin["label"]: origin["size"] for origin in document["artifacts"]}
    assert sizes["corpus/domain"] == 100 * len("corpus/domain")


def test_the_page_says_what_was_measured(make_inputs: Make, report: Path) -> None:
    page = (report / "report.html").read_text()
    action = sha256(make_inputs()["action"].read_bytes().removesuffix(b"\n")).hexdigest()
    line = page[page.index("</h1>") : page.index('<ul class="verdicts">')]
    assert "Trained on blackparrot and ibex, with general text of django; held out: picorv32 and serv." in line
    assert "9\u202f000\u202f000 parameters" in line and action in line
    subject = json.loads((report / "report.json").read_bytes())["subject"]
    assert subject["action"] == action and subject["held_out"] == ["picorv32", "serv"]
    assert page.count("40 of 200 documents") == page.count("30 of 150 documents") == 2


def test_examples_name_core_and_licence(report: Path) -> None:
    page = (report / "report.html").read_text()
    assert page.count("serv, licence ISC</small></h3>") == 6
    generations = json.loads((report / "report.json").read_bytes())["generations"]
    assert {(each["source"], each["licence"]) for each in generations} == {("serv", "ISC")}


def test_no_exact_answer_at_all_has_an_interval_with_a_width(report: Path) -> None:
    document = json.loads((report / "report.json").read_bytes())
    base = document["exact_match"]["by_category"]["list_ports"]["models"]["base"]
    assert (base["value"], base["low"]) == (0, 0) and base["high"] == pytest.approx(0.161, abs=1e-3)
    assert document["exact_match"]["overall"]["models"]["base"]["high"] == pytest.approx(0.031, abs=1e-3)
    assert document["method"]["intervals"]["exact_match.models"] == "Wilson score interval"
    assert document["method"]["resamples"] == 400
    page = (report / "report.html").read_text()
    assert "<td>0.0<small>0.0 to 16.1</small></td>" in page and "Wilson’s score interval" in page


def test_numbers_equal_a_plain_computation(make_inputs: Make, report: Path) -> None:
    files = make_inputs()
    document = json.loads((report / "report.json").read_bytes())
    documents = json.loads(files["dapt"].read_text())["domain"]["documents"]
    expected = sum(each["bits"] for each in documents) / sum(each["bytes"] for each in documents)
    shown = document["bits_per_byte"]["domain"]["models"]["dapt"]
    assert shown["value"] == pytest.approx(expected, abs=1e-6)
    assert shown["low"] < shown["value"] < shown["high"]
    answers = json.loads(files["sft"].read_text())["answers"]
    exact = document["exact_match"]["overall"]["models"]["sft"]["value"]
    assert exact == pytest.approx(sum(each["exact"] for each in answers) / len(answers), abs=1e-6)


def test_bad_numbers_turn_the_page(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    bad = {model: {"domain": 2.0, "general": 2.0, "exact": 0.0} for model in ("base", "dapt", "sft")}
    bad["dapt"] = {"domain": 2.5, "general": 2.6, "exact": 0.0}
    page = (write_report(make_inputs(bad), tmp_path / "report") / "report.html").read_text()
    assert "<h1>The adaptation did not work</h1>" in page
    assert "No, the model does not predict chip-design text better" in page
    assert "General text was partly forgotten" in page
    assert "No, instructions are not followed better" in page


@pytest.mark.parametrize("name", ["tokenizer", "dapt_log", "action", "behind"])
def test_missing_input_is_a_named_error(make_inputs: Make, write_report: Write, tmp_path: Path, name: str) -> None:
    files = make_inputs()
    missing = tmp_path / "missing"
    files[name] = [missing, *files[name][1:]] if name == "behind" else missing
    with pytest.raises(UnreadableReportInput, match="missing does not exist"):
        write_report(files, tmp_path / "report")


def test_truncated_evaluation_is_a_named_error(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    files = make_inputs()
    files["sft"].write_text(files["sft"].read_text()[:1000])
    with pytest.raises(UnreadableEvaluation, match="is not an evaluation"):
        write_report(files, tmp_path / "report")


def test_evaluations_of_other_documents_are_refused(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    files = make_inputs()
    document = json.loads(files["sft"].read_text())
    for row in document["domain"]["documents"]:
        row["digest"] = row["digest"][::-1]
    files["sft"].write_text(json.dumps(document))
    with pytest.raises(NothingInCommon, match="domain document"):
        write_report(files, tmp_path / "report")


def test_action_that_lacks_an_artifact_is_refused(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    files = make_inputs()
    action = json.loads(files["action"].read_text())
    del action["inputs"]["behind"][2]
    files["action"].write_text(json.dumps(action))
    with pytest.raises(UnknownProvenance, match="names 6 artifacts as input 'behind', but 7 were given"):
        write_report(files, tmp_path / "report")
    del files["behind"][2]
    with pytest.raises(UnknownProvenance, match="depends on corpus/domain"):
        write_report(files, tmp_path / "report")
