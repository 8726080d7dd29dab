"""Section on retrieval in the evaluation report."""

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.report import EvalReportJob
from tapeout.evals.task import UnusableResult

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[3]
Make = Callable[..., dict[str, Any]]


def estimate(value: float, reach: float) -> dict[str, float]:
    return {"value": value, "low": value - reach, "high": value + reach}


def measures(value: float, reach: float) -> dict[str, Any]:
    return {name: estimate(value, reach) for name in ("recall@1", "recall@5", "mrr")}


FOUND = {
    "at": [1, 5],
    "questions": 256,
    "passages": 2355,
    "systems": {
        "embedder_tuned": measures(0.75, 0.05),
        "bm25": measures(0.625, 0.06),
        "embedder": measures(0.5, 0.0625),
    },
    "changes": [{"before": "embedder", "after": "embedder_tuned", "measures": measures(0.25, 0.03)}],
    "rows": [],
    "settings": {"confidence": 0.95},
}


@pytest.fixture
def files(make_inputs: Make) -> dict[str, Any]:
    """Return the inputs of a report with retrieval."""
    files = make_inputs()
    folder = files["action"].parent
    action = json.loads(files["action"].read_text())
    action["inputs"]["recall"] = {"artifact": "retrieval/recall.json", "path": None, "digest": "d" * 64}
    files["action"].write_text(json.dumps(action) + "\n")
    files["recall"] = folder / "recall.json"
    files["recall"].write_text(json.dumps(FOUND))
    return files


def write(files: dict[str, Any], output: Path) -> Path:
    main = runpy.run_path(str(ROOT / "scripts" / "eval_report.py"))["main"].__wrapped__
    job = EvalReportJob.model_validate_json(files["params"].read_bytes())
    main(job, **{name: value for name, value in files.items() if name != "params"}, output=output)
    return output


def test_recall_is_stated_with_intervals_before_and_after_fine_tuning(files: dict[str, Any], tmp_path: Path) -> None:
    page = (write(files, tmp_path / "report") / "report.html").read_text()
    section = page[page.index(">Retrieval</a></h2>") : page.index(">Tokenizer</a></h2>")]
    rows = [line for line in section.splitlines() if line.startswith("<tr")]
    assert "<th>Recall@1</th><th>Recall@5</th><th>Mean reciprocal rank</th>" in section
    order = ("BM25", "embedding model, before fine-tuning", "embedding model, after fine-tuning")
    assert [row.split("</th>")[0].rpartition(">")[2] for row in rows] == [*order, f"{order[1]} → {order[2]}"]
    assert "<td>62.5\N{NARROW NO-BREAK SPACE}%<small>56.5 to 68.5</small></td>" in rows[0]
    assert "<td>0.750<small>0.700 to 0.800</small></td>" in rows[2]
    assert "<td>+25.0\N{NARROW NO-BREAK SPACE}points<small>+22.0 to +28.0</small></td>" in rows[3]
    assert "256 questions about held-out cores, 2\N{NARROW NO-BREAK SPACE}355 passages" in section


def test_the_numbers_name_the_artifact_that_they_are_computed_from(files: dict[str, Any], tmp_path: Path) -> None:
    document = json.loads((write(files, tmp_path / "report") / "report.json").read_text())
    found = document["retrieval"]
    assert found["systems"]["bm25"]["recall@5"] == estimate(0.625, 0.06)
    assert found["computed_from"] == {"retrieval/recall.json": "d" * 64}
    assert "retrieval/recall.json" in [origin["label"] for origin in document["artifacts"]]


def test_a_report_without_retrieval_has_no_section(make_inputs: Make, tmp_path: Path) -> None:
    folder = write(make_inputs(), tmp_path / "report")
    assert "Retrieval" not in (folder / "report.html").read_text()
    assert "retrieval" not in json.loads((folder / "report.json").read_text())


def test_a_damaged_result_is_a_named_error(files: dict[str, Any], tmp_path: Path) -> None:
    files["recall"].write_text(json.dumps({**FOUND, "systems": {"bm25": {"recall@5": 1}}}))
    with pytest.raises(UnusableResult, match="is not a RecallReport"):
        write(files, tmp_path / "report")
