"""Section on the exported model in the evaluation report."""

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
IDS = {"fast": {"prompts": 478, "prompts_with_reserved_names": 2}}
CERTIFICATE = {
    "answers": {"equal": 159, "tie": 1, "tie_limit": 2e-4},
    "export": {
        "compared_with": "NeMo",
        "largest_difference": 3e-6,
        "rounding": 0.0093,
        "token_ids": IDS,
        "versions": {"transformers": "4.51.3"},
        "weights": "bfloat16",
    },
    "logits": {"largest_difference": 5e-6, "tokens": 128},
    "refused": {"reserved_names": 9, "roles": 9},
    "token_ids": IDS,
    "versions": {"transformers": "5.24.0"},
}
CHECK = {
    "answers": {"equal": 32, "tie": 0},
    "prompts": {"/v1/chat/completions": 16, "/v1/completions": 16},
    "server": "transformers",
    "version": "5.24.0",
}


@pytest.fixture
def files(make_inputs: Make) -> dict[str, Any]:
    """Return the inputs of a report with the checks of an exported model."""
    files = make_inputs()
    action = json.loads(files["action"].read_text())
    for name, content in (("certificate", CERTIFICATE), ("serve_check", CHECK)):
        action["inputs"][name] = {"artifact": f"export/{name}.json", "path": None, "digest": name[0] * 64}
        files[name] = files["action"].parent / f"{name}.json"
        files[name].write_text(json.dumps(content))
    files["action"].write_text(json.dumps(action) + "\n")
    return files


def write(files: dict[str, Any], output: Path) -> Path:
    main = runpy.run_path(str(ROOT / "scripts" / "eval_report.py"))["main"].__wrapped__
    job = EvalReportJob.model_validate_json(files["params"].read_bytes())
    main(job, **{name: value for name, value in files.items() if name != "params"}, output=output)
    return output


def test_the_page_says_what_was_compared_and_how(files: dict[str, Any], tmp_path: Path) -> None:
    folder = write(files, tmp_path / "report")
    page = (folder / "report.html").read_text()
    section = page[page.index(">The exported model</a></h2>") : page.index(">Tokenizer</a></h2>")]
    for text in (
        "all 478 held-out prompts, slow and fast, transformers 4.51.3 and 5.24.0; 2 with reserved names are refused",
        "within 5.0e-06 of NeMo, weights in bfloat16, whose rounding changes them by up to 9.3e-03",
        "159 the same as evaluated, 1 where two tokens were as likely",
        "all 18 that the training had not",
        "16 at /v1/chat/completions and 16 at /v1/completions: 32 the same as evaluated",
    ):
        assert text in section
    found = json.loads((folder / "report.json").read_text())["serving"]
    assert found["computed_from"] == {"export/certificate.json": "c" * 64, "export/serve_check.json": "s" * 64}
    assert found["certificate"]["answers"] == {"equal": 159, "tie": 1}


def test_a_model_that_was_not_loaded_has_no_line_about_logits(files: dict[str, Any], tmp_path: Path) -> None:
    parity = {**CERTIFICATE["export"], "largest_difference": None, "rounding": None}  # type: ignore[dict-item]
    files["certificate"].write_text(json.dumps({**CERTIFICATE, "answers": None, "logits": None, "export": parity}))
    page = (write(files, tmp_path / "report") / "report.html").read_text()
    assert "Token ids" in page and "Logits" not in page and "Greedy answers" not in page


def test_a_damaged_file_is_a_named_error(files: dict[str, Any], tmp_path: Path) -> None:
    files["serve_check"].write_text(json.dumps({**CHECK, "prompts": {}}))
    with pytest.raises(UnusableResult, match="is not a ServeCheck"):
        write(files, tmp_path / "report")
