"""Contamination in the report: counts, the values on the clean subset, and the listed units."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.report import EvalReportJob, PairedStatistics
from tapeout.evals.section import Measure, Unit
from tapeout.evals.task import UnusableResult
from tapeout.report.evaluation.comparisons import compare
from tapeout.report.evaluation.contamination import Contamination, clean_values
from tests.report.evaluation.conftest import digest

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[3]
Make = Callable[..., dict[str, Any]]


def write(files: dict[str, Any], output: Path) -> Path:
    main = runpy.run_path(str(ROOT / "scripts" / "eval_report.py"))["main"].__wrapped__
    job = EvalReportJob.model_validate_json(files["params"].read_bytes())
    main(job, **{name: value for name, value in files.items() if name != "params"}, output=output)
    return output


def test_values_on_the_clean_subset_equal_a_plain_computation(make_inputs: Make, tmp_path: Path) -> None:
    files = make_inputs(contained={"row0": 1.0, "row7": 0.5, "row9": 0.49, "domain3": 0.8})
    folder = write(files, tmp_path / "report")
    document = json.loads((folder / "report.json").read_text())
    [path] = [path for path in files["evaluations"] if path.match("sft/instruction_answers/rtl.json")]
    bad = {digest("row0"), digest("row7")}
    rows = [row for row in json.loads(path.read_text())["result"]["answers"] if row["digest"] not in bad]
    exact = document["measures"]["rtl.exact_match"]
    assert exact["clean"]["contaminated"] == 2 and exact["clean"]["searched"] == exact["units"] == 120
    assert exact["clean"]["share"] == pytest.approx(2 / 120, abs=1e-6)
    expected = sum(row["exact"] for row in rows) / 118
    assert exact["clean"]["models"]["sft"]["value"] == pytest.approx(expected, abs=1e-6)
    found = document["contamination"]["instruction_answers/rtl"]["contaminated"]
    assert {unit["digest"] for unit in found} == {*bad, digest("domain3")}
    assert [unit["share"] for unit in found] == [1.0, 0.8, 0.5] and found[0]["best"]["source"] == "alpha"
    domain, general = (document["measures"][f"bits_per_byte.{corpus}"] for corpus in ("domain", "general"))
    assert domain["clean"]["contaminated"] == 1 and domain["clean"]["models"]["base"] != domain["models"]["base"]
    assert general["clean"]["contaminated"] == 0
    assert all(general["models"][name].items() >= value.items() for name, value in general["clean"]["models"].items())
    page = (folder / "report.html").read_text()
    section = page[page.index(">Contamination</a></h2>") : page.index(">Tokenizer</a></h2>")]
    assert "<td>2 of 120<small>1.7\u202f%</small></td>" in section and "alpha docs/vendored.md" in section
    assert "n-grams of each test document or row, of 13 words" in page
    scored = "3 of 190 scored test units have 50\u202f% or more of the n-grams (13 words) in the training text"
    assert scored in page, "40 and 30 documents and 120 rows, which several measures score"
    assert section.count("<td>2 of 120") == section.count("rtl: exact match") + section.count("rtl: ROUGE-L") + 1
    assert "Bits per byte, general text" not in section and "1 other measure has no contaminated unit" in section


def test_a_measure_without_a_clean_unit_has_no_clean_value(make_inputs: Make, tmp_path: Path) -> None:
    folder = write(make_inputs(contained={f"general{number}": 1.0 for number in range(30)}), tmp_path / "report")
    clean = json.loads((folder / "report.json").read_text())["measures"]["bits_per_byte.general"]["clean"]
    assert clean == {"searched": 30, "contaminated": 30, "share": 1.0, "models": {}}


def test_units_that_were_not_searched_for_are_no_clean_ones(make_inputs: Make, tmp_path: Path) -> None:
    files = make_inputs()
    for path in files["contamination"]:
        path.write_text(json.dumps({**json.loads(path.read_text()), "units": {}}))
    folder = write(files, tmp_path / "report")
    clean = json.loads((folder / "report.json").read_text())["measures"]["rtl.exact_match"]["clean"]
    assert (clean["searched"], clean["share"]) == (0, None)
    assert "not searched" in (folder / "report.html").read_text()


def test_training_text_that_is_not_searched_is_named(make_inputs: Make, tmp_path: Path) -> None:
    folder = write(make_inputs(not_searched=["preferences"]), tmp_path / "report")
    page = (folder / "report.html").read_text()
    assert "Text of preferences, on which a method trains an evaluated model, is not searched" in page
    assert "is that similar to the searched training text." in page
    assert json.loads((folder / "report.json").read_text())["method"]["not_searched"] == ["preferences"]
    other = (write(make_inputs(), tmp_path / "other") / "report.html").read_text()
    assert "None of 190 scored test units has 50" in other and "5 measures have no contaminated unit" in other
    assert "by measure</summary>" not in other
    assert "is not searched" not in other and "is that similar to the training text." in other


def test_a_damaged_file_is_a_named_error(make_inputs: Make, tmp_path: Path) -> None:
    files = make_inputs()
    files["contamination"][0].write_text("{}")
    with pytest.raises(UnusableResult, match="is not a Contamination"):
        write(files, tmp_path / "report")


def test_a_measure_that_one_model_lacks_moves_no_other() -> None:
    """A model without later turns has no measure of them, and its list of measures is shorter."""

    def measured(name: str, right: int) -> tuple[Measure, list[Unit]]:
        units = [Unit(f"{name}{index}", float(index < right)) for index in range(10)]
        return Measure(name, name, "rows", "chats", lower_is_better=False, total=10), units

    models = {
        "base": [measured("first", 2), measured("last", 4)],
        "sft": [measured("first", 6), measured("later", 1), measured("last", 8)],
    }
    units = {f"last{index}": {"share": float(index == 0), "short": False, "best": None} for index in range(10)}
    found = Contamination.model_validate({"ngram_words": 13, "min_overlap": 0.5, "training": [], "units": units})
    settings = PairedStatistics(resamples=100)
    for order in (models, dict(reversed(models.items()))):
        clean = clean_values(order, compare(order, settings), found, settings)
        assert list(clean) == ["first", "last"]
        assert {model: estimate.value for model, estimate in clean["first"].values.items()} == {"base": 0.2, "sft": 0.6}
        last = {model: estimate.value for model, estimate in clean["last"].values.items()}
        assert last == {"base": pytest.approx(3 / 9), "sft": pytest.approx(7 / 9)}
        assert (clean["last"].searched, clean["last"].contaminated) == (10, 1)
