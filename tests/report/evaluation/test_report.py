"""The report as a whole, written by its script from inputs on disk."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from fnmatch import fnmatchcase
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tapeout.config.comparison import DERIVED
from tapeout.evals.task import UnusableResult
from tapeout.report.evaluation.document import Document, schema
from tests.report.evaluation.conftest import CATEGORIES, GOOD, MODELS, TASKS, Make, Write

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[3]


def run_program(files: dict[str, Any], output: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/eval_report.py", "--output", str(output)]
    for name, value in files.items():
        for each in value if isinstance(value, list) else [value]:
            command += ["--" + name.replace("_", "-"), str(each)] if name != "action" else []
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TAPEOUT_ACTION": str(files["action"]), **environment}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


class Elements(HTMLParser):
    """Parser that collects ids and references, and checks that tags are balanced."""

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
    hostile = tmp_path / "matplotlibrc"
    hostile.write_text("lines.linewidth: 9\nfont.size: 30\nfont.family: serif\nsvg.id: x\nxtick.major.size: 20\n")
    done = run_program(files, tmp_path / "again", PYTHONHASHSEED="7", MATPLOTLIBRC=str(hostile))
    assert done.returncode == 0, done.stderr
    for name in ("report.html", "report.json"):
        assert (tmp_path / "again" / name).read_bytes() == (report / name).read_bytes()


def test_missing_input_is_one_error_and_leaves_nothing(make_inputs: Make, tmp_path: Path) -> None:
    files = make_inputs()
    files["evaluations"][-1].unlink()
    done = run_program(files, tmp_path / "report")
    assert done.returncode == 1
    assert "UnusableResult" in done.stderr and "fix:" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "report").exists()


def test_page_is_self_contained(report: Path) -> None:
    page = (report / "report.html").read_text()
    elements = Elements(page)
    assert elements.open == []
    assert elements.loads == []
    assert page.count("<script") == 2 and "link" not in elements.tags
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
    assert page.count("<script") == 2 and "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;&amp;amp;" in page


def name_of(path: Path) -> str:
    """Return model and task of a result."""
    return path.as_posix().rpartition("/evaluation/")[2]


def replaced(files: dict[str, Any], model: str, old: str, new: str) -> None:
    """Replace text in all results of a model."""
    for path in files["evaluations"]:
        if name_of(path).startswith(f"{model}/"):
            path.write_text(path.read_text().replace(old, new))


def test_category_names_are_escaped_in_plots(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    files = make_inputs()
    for model in MODELS:
        replaced(files, model, '"list_ports"', '"a<script>$x$"')
    page = (write_report(files, tmp_path / "report") / "report.html").read_text()
    assert page.count("<script") == 2
    assert page.count("a&lt;script&gt;$x$") >= 3


def test_category_names_are_no_formulas_and_stay_apart(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    files = make_inputs()
    names = ["$display^ and $clog2", "list ports", "list_ports"]
    for model in MODELS:
        for old, new in zip(CATEGORIES[:2], names[:2], strict=True):
            replaced(files, model, f'"{old}"', f'"{new}"')
    page = (write_report(files, tmp_path / "report") / "report.html").read_text()
    plots = [part.partition("</svg>")[0] for part in page.split("<svg")]
    (plot,) = [plot for plot in plots if "exact answers, %" in plot]
    assert all(f">{name}<" in plot for name in names)


def test_blank_answers_take_no_space(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    files = make_inputs()
    replaced(files, "base", '"? < & >"', json.dumps("\n" * 90))
    replaced(files, "dapt", '"? < & >"', json.dumps("\n a\n b\n\n\n"))
    page = (write_report(files, tmp_path / "report") / "report.html").read_text()
    assert "only whitespace</pre>" in page and "<pre>a\n b</pre>" in page


def test_every_number_names_the_artifacts_that_it_is_computed_from(report: Path) -> None:
    document = json.loads((report / "report.json").read_bytes())
    digests = {origin["label"]: origin["digest"] for origin in document["artifacts"]}
    measures = document["measures"]
    assert measures["bits_per_byte.domain"]["models"]["dapt"]["computed_from"] == {
        name: digests[name] for name in ("corpus/domain", "dapt/model", "evaluation/dapt/bits_per_byte.json")
    }
    assert measures["rtl.exact_match.list_ports"]["models"]["sft"]["computed_from"] == {
        name: digests[name] for name in ("evaluation/sft/instruction_answers/rtl.json", "instructions/rtl", "sft/model")
    }
    tokens = document["tokens_per_byte"]["general"]["computed_from"]
    assert tokens.keys() == {"corpus/general", "tokenizer/report.json"}
    page = (report / "report.html").read_text()
    assert all(digest in page for digest in digests.values())
    sizes = {origin["label"]: origin["size"] for origin in document["artifacts"]}
    assert sizes["corpus/domain"] == 100 * len("corpus/domain")


def test_the_page_says_what_was_evaluated(make_inputs: Make, report: Path) -> None:
    page = (report / "report.html").read_text()
    action = sha256(make_inputs()["action"].read_bytes().removesuffix(b"\n")).hexdigest()
    line = page[page.index("</h1>") : page.index('<ul class="verdicts">')]
    assert "Trained on blackparrot and ibex, with general text of django; measured on picorv32 and serv," in line
    assert "9\u202f000\u202f000" in page and action in line
    subject = json.loads((report / "report.json").read_bytes())["subject"]
    assert subject["action"] == action and subject["held_out"] == ["picorv32", "serv"]
    assert subject["models"]["sft"]["artifact"] == "sft/model"
    assert page.count("40 of 200 documents") == page.count("30 of 150 documents") == 2


def test_examples_show_each_kind_of_answer_of_the_shipped_model(make_inputs: Make, report: Path) -> None:
    """One exact answer, one near miss and one failure of each category, as far as there are any."""
    [path] = [path for path in make_inputs()["evaluations"] if path.match("sft/instruction_answers/rtl.json")]
    rows = json.loads(path.read_text())["result"]["answers"]
    expected = ["exact" if row["exact"] else "near miss" if row["rouge_l"] >= 0.5 else "failure" for row in rows]
    kinds = {(row["category"].replace("_", " "), kind) for row, kind in zip(rows, expected, strict=True)}
    examples = json.loads((report / "report.json").read_bytes())["examples"]["Answers to questions: rtl"]
    shown = [(group["title"], example["kind"]) for group in examples for example in group["examples"]]
    assert sorted(shown) == sorted(kinds) and {kind for _, kind in kinds} == {"exact", "near miss", "failure"}
    assert sum(sum(group["counts"].values()) for group in examples) == len(rows)
    page = (report / "report.html").read_text()
    assert page.count("serv, licence ISC</small></h4>") == len(shown)
    assert page.count("✓ exact of sft") == sum(kind == "exact" for _, kind in kinds)


def test_damage_of_the_shipped_model_looks_failed(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    """Continued pretraining keeps general text, fine-tuning loses it: the card is about what is exported."""
    damaged = {**GOOD, "sft": {**GOOD["sft"], "general": 3.6}}
    page = (write_report(make_inputs(damaged), tmp_path / "report") / "report.html").read_text()
    [card] = [line for line in page.splitlines() if "<strong>General text" in line]
    assert '<li class="bad">' in card and "✗ no" in card and "(sft)" in card and "(dapt" in card
    assert "<h1>The adaptation worked in part; 1 of 3 checks failed</h1>" in page


def test_no_exact_answer_at_all_has_an_interval_with_a_width(report: Path) -> None:
    document = json.loads((report / "report.json").read_bytes())
    base = document["measures"]["rtl.exact_match.list_ports"]["models"]["base"]
    assert (base["value"], base["low"]) == (0, 0) and base["high"] == pytest.approx(0.161, abs=1e-3)
    assert document["measures"]["rtl.exact_match"]["models"]["base"]["high"] == pytest.approx(0.031, abs=1e-3)
    assert document["measures"]["rtl.exact_match"]["models"]["sft"]["interval"] == "wilson"
    assert document["method"]["resamples"] == 400
    page = (report / "report.html").read_text()
    assert "<td>0.0<small>0.0 to 16.1</small></td>" in page and "Wilson’s score interval" in page


def test_numbers_equal_a_plain_computation(make_inputs: Make, report: Path) -> None:
    results = {name_of(path): json.loads(path.read_text())["result"] for path in make_inputs()["evaluations"]}
    measures = json.loads((report / "report.json").read_bytes())["measures"]
    documents = results["dapt/bits_per_byte.json"]["corpora"]["domain"]["documents"]
    expected = sum(document["bits"] for document in documents) / sum(document["bytes"] for document in documents)
    shown = measures["bits_per_byte.domain"]["models"]["dapt"]
    assert shown["value"] == pytest.approx(expected, abs=1e-6)
    assert shown["low"] < shown["value"] < shown["high"]
    rows = results["sft/instruction_answers/rtl.json"]["answers"]
    exact = measures["rtl.exact_match"]["models"]["sft"]["value"]
    assert exact == pytest.approx(sum(row["exact"] for row in rows) / len(rows), abs=1e-6)


def test_bad_numbers_turn_the_page(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    bad = {model: {"domain": 2.0, "general": 2.0, "exact": 0.6} for model in MODELS}
    bad["sft"] = {"domain": 2.5, "general": 2.6, "exact": 0.0}
    page = (write_report(make_inputs(bad), tmp_path / "report") / "report.html").read_text()
    assert "<h1>The adaptation did not work</h1>" in page
    assert "No, the exported model sft does not predict chip-design text better" in page
    assert "No, the exported model sft has partly forgotten general text" in page
    assert "No, instructions are not followed better" in page


def test_a_fourth_model_is_one_more_line_of_the_configuration(
    make_inputs: Make, write_report: Write, report: Path, tmp_path: Path
) -> None:
    models: Mapping[str, str] = {**MODELS, "lora": "lora/model"}
    files = make_inputs({**GOOD, "lora": GOOD["sft"]}, models=models)
    output = write_report(files, tmp_path / "report")
    four, three = (json.loads((folder / "report.json").read_bytes()) for folder in (output, report))

    def uncorrected(changes: dict[str, Any]) -> dict[str, Any]:
        """Return changes without what depends on their number."""
        return {step: {**change, "corrected": None, "clear": None} for step, change in changes.items()}

    for name, measure in four["measures"].items():
        assert list(measure["models"]) == sorted(models)
        assert len(measure["changes"]) == 6
        assert uncorrected(measure["changes"]).items() >= uncorrected(three["measures"][name]["changes"]).items()
        assert measure["models"].items() >= three["measures"][name]["models"].items()
    assert four["summary"] == three["summary"]
    assert "lora" in four["training"] and four["subject"]["models"]["lora"]["artifact"] == "lora/model"
    page = (output / "report.html").read_text()
    assert page.count('<span class="key c-4"></span>lora') == 10 and "sft → lora" in page


def test_a_task_from_outside_has_a_section(
    make_inputs: Make, write_report: Write, report: Path, tmp_path: Path
) -> None:
    files = make_inputs(tasks={**TASKS, "tests.toys.toy_task": ("tests.toys.toy_task", {})})
    output = write_report(files, tmp_path / "report")
    measures = json.loads((output / "report.json").read_bytes())["measures"]
    before = json.loads((report / "report.json").read_bytes())["measures"]
    assert measures.keys() - before.keys() == {"echo"}
    assert measures["echo"]["models"]["base"]["value"] == pytest.approx(1 / 3, abs=1e-6)
    assert all(measures[name] == measure for name, measure in before.items())
    page = (output / "report.html").read_text()
    assert ">Echoes</a></h2>" in page and "Echo rate" in page


def test_the_selected_step_is_shown(make_inputs: Make, write_report: Write, report: Path, tmp_path: Path) -> None:
    files = make_inputs()
    path = files["models"][1] / "train_log.json"
    selection = {"step": 150, "monitor": "validation_loss", "value": 3.1, "ended_by": "patience"}
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "selection": selection}))
    output = write_report(files, tmp_path / "report")
    assert json.loads((output / "report.json").read_bytes())["training"]["dapt"]["selection"] == {"step": 150}
    assert "selected step" in (output / "report.html").read_text()
    assert "selection" not in json.loads((report / "report.json").read_bytes())["training"]["dapt"]
    assert "selected step" not in (report / "report.html").read_text()


def test_loss_spikes_are_shown_with_their_documents(
    make_inputs: Make, write_report: Write, report: Path, tmp_path: Path
) -> None:
    files = make_inputs()
    path = files["models"][1] / "train_log.json"
    documents = [f"corpus/<domain>/train.jsonl:{line}" for line in range(1, 8)]
    spikes = [
        {"step": step, "loss": 4 + step / 100, "median": 4.0, "rank": 1, "documents": documents}
        for step in range(40, 52)
    ]
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "spikes": spikes}))
    output = write_report(files, tmp_path / "report")
    page = (output / "report.html").read_text()
    shown = re.findall(r"<td>(\d+)</td><td>(4\.\d+)</td><td>(4\.\d+)</td><td class=\"text\">(.*)</td>", page)
    assert [int(step) for step, *_ in shown] == list(range(51, 41, -1)), "the highest ten"
    assert shown[0][1:3] == ("4.510", "4.000")
    assert (
        shown[0][3].startswith("<code>corpus/&lt;domain&gt;/train.jsonl:1</code>, <code>") and "3 more" in shown[0][3]
    )
    assert "highest of 12 loss spikes" in page
    assert len(json.loads((output / "report.json").read_bytes())["training"]["dapt"]["spikes"]) == 12
    assert "No training has a loss spike in its log." in (report / "report.html").read_text()


def test_models_that_are_not_compared_have_no_verdicts(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    files = make_inputs(models={"base": "base"}, adaptation={"pretrained": None, "tuned": None})
    page = (write_report(files, tmp_path / "report") / "report.html").read_text()
    assert "<h1>Comparison of models</h1>" in page and ">Changes</a></h2>" not in page


@pytest.mark.parametrize("name", ["tokenizer", "action", "upstream", "models"])
def test_missing_input_is_a_named_error(make_inputs: Make, write_report: Write, tmp_path: Path, name: str) -> None:
    files = make_inputs()
    missing = tmp_path / "missing"
    files[name] = [missing, *files[name][1:]] if name in ("upstream", "models") else missing
    with pytest.raises(UnusableResult, match="missing does not exist"):
        write_report(files, tmp_path / "report")


def test_truncated_evaluation_is_a_named_error(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    files = make_inputs()
    files["evaluations"][0].write_text(files["evaluations"][0].read_text()[:1000])
    with pytest.raises(UnusableResult, match="is not the result of a task"):
        write_report(files, tmp_path / "report")


def test_evaluations_of_other_documents_are_refused(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    files = make_inputs()
    document = json.loads(files["evaluations"][-2].read_text())
    for row in document["result"]["corpora"]["domain"]["documents"]:
        row["digest"] = row["digest"][::-1]
    files["evaluations"][-2].write_text(json.dumps(document))
    with pytest.raises(UnusableResult, match="no documents in common"):
        write_report(files, tmp_path / "report")


def test_action_that_lacks_an_artifact_is_refused(make_inputs: Make, write_report: Write, tmp_path: Path) -> None:
    files = make_inputs()
    action = json.loads(files["action"].read_text())
    del action["inputs"]["upstream"][1]
    files["action"].write_text(json.dumps(action))
    with pytest.raises(UnusableResult, match="names 5 artifacts as input 'upstream', but the program got 6"):
        write_report(files, tmp_path / "report")
    del files["upstream"][1]
    with pytest.raises(UnusableResult, match="depends on corpus/domain"):
        write_report(files, tmp_path / "report")


def test_the_schema_is_the_form_that_the_report_has(report: Path) -> None:
    """Fields that the form does not declare are errors, here and when the report is written."""
    document = json.loads((report / "report.json").read_bytes())
    assert document["schema"] == "tapeout.eval-report/1"
    Document.model_validate(document)
    with pytest.raises(ValidationError, match="measures.echo"):
        Document.model_validate({**document, "measures": {**document["measures"], "echo": {"label": "Echo"}}})
    with pytest.raises(ValidationError, match="further"):
        Document.model_validate({**document, "further": 1})
    assert (ROOT / "docs" / "eval_report.schema.json").read_text() == schema(), "run: make schema"


def test_values_that_comparisons_ignore_exist(report: Path) -> None:
    """Each default pattern of ``comparison.ignored`` matches a value of the report."""
    names: set[str] = set()

    def visit(value: Any, name: str) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        names.add(name)
        for key, inner in items:
            visit(inner, f"{name}.{key}" if name else str(key))

    visit(json.loads((report / "report.json").read_text()), "")
    assert [pattern for pattern in DERIVED if not any(fnmatchcase(name, pattern) for name in names)] == []
