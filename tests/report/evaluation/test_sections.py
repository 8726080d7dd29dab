"""Sections of tasks on the page, and their measures in report.json."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.report.evaluation.conftest import MODELS, TASKS, Make, Write

pytestmark = pytest.mark.environment("data")


def test_text_is_also_shown_by_source(report: Path) -> None:
    """A corpus with one source, here the general one, has no table of sources."""
    measures = json.loads((report / "report.json").read_bytes())["measures"]
    names = [name for name in measures if name.startswith("bits_per_byte.")]
    parts = ["domain", "domain.picorv32", "domain.serv", "general"]
    assert sorted(names) == [f"bits_per_byte.{part}" for part in parts]
    assert [measures[name]["units"] for name in sorted(names)] == [40, 20, 20, 30]
    page = (report / "report.html").read_text()
    assert "Bits per byte by source" in page and "general: django" not in page
    assert page.index('scope="row">domain: picorv32') < page.index('scope="row">domain: serv')
    assert page.count("20 of 100 documents") == 2


def test_further_measures_of_answers_are_folded(report: Path) -> None:
    page = (report / "report.html").read_text()
    folded = page.partition("<details><summary>Further measures by category</summary>")[2].partition("</details>")[0]
    assert (
        "Token F1, %" in folded and 'scope="row">list ports' in folded and "<th>base" not in folded.split("<tbody>")[1]
    )
    assert "Answers that the model ends itself, %" in page and "conversations</th>" not in page
    measures = json.loads((report / "report.json").read_bytes())["measures"]
    assert measures["rtl.stop_rate"]["models"]["sft"]["value"] == 1
    assert measures["rtl.well_formed"]["models"]["sft"]["value"] == pytest.approx(119 / 120, abs=1e-6)
    assert measures["rtl.squad_f1.width"]["units"] == 20


def test_stored_continuations_are_judged_when_the_report_is_made(
    make_inputs: Make, write_report: Write, tmp_path: Path
) -> None:
    files = make_inputs(tasks={**TASKS, "verilog_completion": ("verilog_completion", {})})
    output = write_report(files, tmp_path / "report")
    measures = json.loads((output / "report.json").read_bytes())["measures"]
    values = {
        name.removeprefix("completion."): (
            measure["units"],
            {model: value["value"] for model, value in measure["models"].items()},
        )
        for name, measure in measures.items()
        if name.startswith("completion.")
    }
    half, none = {"base": 0.5, "dapt": 0.5, "sft": 1}, {"base": 0, "dapt": 0, "sft": 1}
    assert values["next_line"] == values["port"] == (20, half)
    assert (values["port.same_name"], values["port.other_name"]) == ((10, none), (10, dict.fromkeys(MODELS, 1)))
    line_f1 = values["next_line_f1"][1]
    assert line_f1["base"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-6) and line_f1["sft"] == 1
    assert values["syntax"] == (12, none), "without the file whose macro is defined elsewhere"
    attempts = json.loads((output / "report.json").read_bytes())["attempts"]["verilog_completion"]
    kinds = Counter((one["category"], one["models"]["base"]["kind"]) for one in attempts)
    lines, ports, items = "next line", "connection of a port", "next item"
    assert kinds == {
        **{(lines, "exact"): 10, (lines, "near miss"): 10, (ports, "exact"): 10, (ports, "failure"): 10},
        (items, "failure"): 12,
    }
    page = (output / "report.html").read_text()
    assert ">Completion of held-out Verilog</a></h2>" in page and "Ports connected to another name, %" in page
