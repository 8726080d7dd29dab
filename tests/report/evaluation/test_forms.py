"""Other forms of the report: they have the numbers of report.json, and no text of data is markup."""

import csv
import json
from pathlib import Path

import pytest

from tests.report.evaluation.conftest import Make, Write

pytestmark = pytest.mark.environment("data")


def test_tables_have_the_numbers_of_report_json(report: Path) -> None:
    document = json.loads((report / "report.json").read_text())
    with (report / "measures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = {(row["measure"], row["model"]): (row["value"], row["low"], row["high"], row["units"]) for row in rows}
    assert found == {
        (name, model): (*(str(value[key]) for key in ("value", "low", "high")), str(measure["units"]))
        for name, measure in document["measures"].items()
        for model, value in measure["models"].items()
    }
    with (report / "changes.csv").open(newline="") as file:
        changes = list(csv.DictReader(file))
    assert len(changes) == len(document["changes"])
    for row in changes:
        stated = document["measures"][row["measure"]]["changes"][f"{row['before']}_to_{row['after']}"]
        assert [row["change"], row["p"], row["clear"]] == [str(stated[key]) for key in ("value", "p", "clear")]


def test_the_markdown_states_headline_verdicts_tables_and_failed_gates(
    report: Path, make_inputs: Make, write_report: Write, tmp_path: Path
) -> None:
    document, text = json.loads((report / "report.json").read_text()), (report / "report.md").read_text()
    assert text.startswith(f"# {document['summary']['headline']}\n")
    for verdict in document["summary"]["verdicts"]:
        assert f"**{verdict['question']}**" in text
    value = document["measures"]["bits_per_byte.domain"]["models"]["sft"]["value"]
    assert f"{value:.3f} (" in text and "Gate" not in text
    models = {"a|b": "base", "<i>": "dapt/model"}
    rates = {name: {"domain": 2.0, "general": 2.0 + index, "exact": 0.5} for index, name in enumerate(models)}
    adaptation = {"base": "a|b", "pretrained": "<i>"}
    output = write_report(
        make_inputs(rates, models=models, adaptation=adaptation, exported="dapt/model"), tmp_path / "r"
    )
    text = (output / "report.md").read_text()
    assert "- ✗ **Gate general text**: +" in text and "a\\|b" in text and "<i>" not in text.replace("\\<i\\>", "")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").startswith("| ") or set(line) <= set("|-:") for line in lines)
