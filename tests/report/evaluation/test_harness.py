"""Tasks of lm-eval on the page: scores with intervals, their number, versions, and what changed."""

import json
from math import log
from pathlib import Path
from typing import Any

import pytest

from tests.report.evaluation.conftest import TASKS, Make, Write

pytestmark = pytest.mark.environment("data")


@pytest.fixture(scope="module")
def output(make_inputs: Make, write_report: Write, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = {"tasks": ["both", "text", "translated"], "source": "multiple_choice"}
    files = make_inputs(tasks={**TASKS, "lm_eval": ("lm_eval", options)})
    return write_report(files, tmp_path_factory.mktemp("harness") / "report")


def numbers(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "report.json").read_bytes())
    return found


def test_scores_have_intervals_tests_and_numbers_of_documents(output: Path) -> None:
    measures = numbers(output)["measures"]
    many, text = measures["lm_eval.many.acc"], measures["lm_eval.text.bits_per_byte"]
    assert (many["units"], many["models"]["base"]["value"], many["models"]["sft"]["value"]) == (60, 0.9, 0.5)
    assert many["models"]["base"]["interval"] == "wilson" and many["changes"]["base_to_sft"]["test"] == "mcnemar"
    expected = 12 * 50 / log(2) / sum(20 + index for index in range(12))
    assert text["models"]["sft"]["value"] == pytest.approx(expected, abs=1e-5)
    group = measures["lm_eval.both.acc"]
    assert group["units"] == 62 and group["models"]["base"]["value"] == pytest.approx((0.9 + 0.5) / 2)
    assert "lm_eval.translated.bleu" not in measures


def test_the_page_shows_scores_versions_and_what_became_worse(output: Path) -> None:
    page = (output / "report.html").read_text()
    assert ">Tasks of lm-eval</a></h2>" in page and "lm-eval 0.4.13; prompts are plain text" in page
    assert "many: acc, % (60 documents, 2 shots)" in page and "both: acc, % (62 documents)" in page
    assert "translated: bleu (1 documents), by lm-eval with its standard error: base 0.500 ± 0.250" in page
    assert "Prompts of sft that lost their beginning, because its context is too short: few 3, many 3" in page
    assert "worse is many: acc 90.0 to 50.0" in page


def test_report_json_records_what_lm_eval_states(output: Path) -> None:
    facts = json.dumps(numbers(output))
    found = numbers(output)
    stated = next(value["lm_eval.tasks"] for value in _mappings(found) if "lm_eval.tasks" in value)
    assert stated["many"]["version"] == "1.5" and len(stated["many"]["config"]) == 64
    assert stated["many"]["scores"]["acc,none"]["sft"] == {"value": 0.5, "stderr": 0.25}
    assert (stated["many"]["documents"], stated["many"]["in_task"]) == (60, 80)
    assert '"lm_eval.version"' in facts and '"lm_eval.groups"' in facts


def _mappings(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, dict):
        return [value, *(found for inner in value.values() for found in _mappings(inner))]
    return [found for inner in value for found in _mappings(inner)] if isinstance(value, list) else []
