"""Section on the tokenizer in the evaluation report."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.tokenizer_panel import SURGERY
from tapeout.evals.task import UnusableResult

pytestmark = pytest.mark.environment("data")

Make = Callable[..., dict[str, Any]]
Write = Callable[[dict[str, Any], Path], Path]
SPACE = "\N{NARROW NO-BREAK SPACE}"


def document(number: int, before: int, after: int, source: str = "serv", lines: int = 10) -> dict[str, Any]:
    digest = sha256(str(number).encode()).hexdigest()
    return {"digest": digest, "source": source, "bytes": 1000, "lines": lines, "before": before, "after": after}


PANEL = {
    "documents": {
        "domain": [document(1, 500, 400), document(2, 300, 250), document(3, 400, 300, "picorv32")],
        "general": [document(4, 250, 250, "django", 0)],
    },
    "pieces": [
        {"id": 32001, "piece": " clk<b>", "domain": 90, "general": 5},
        {"id": 32000, "piece": "_ni", "domain": 5, "general": 0},
        {"id": 32002, "piece": "never", "domain": 0, "general": 0},
    ],
    "neighbours": [{"piece": " clk<b>", "nearest": [{"piece": " clock\n", "cosine": 0.75}]}],
    "example": {"source": "serv", "path": "a.v", "before": ["module", " a", ";"], "after": ["module", " a;"]},
    "context": 256,
    "training": {
        **{"tokens": 1_000_000, "general_fraction": 0.35, "gpu": "h100", "gpu_flops": 3.6e9},
        **{"flop_before": 1000, "flop_after": 1020},
    },
}


@pytest.fixture
def files(make_inputs: Make) -> dict[str, Any]:
    """Return the inputs of a report with the section."""
    files = make_inputs()
    folder, (base, *_) = files["action"].parent, files["evaluations"]
    result = json.loads(base.read_text())
    for scored in result["result"]["corpora"]["domain"]["documents"]:
        scored["bits"] *= 1.5
    contents = {"tokenizer_panel": ("tokenizer_panel.json", PANEL)}
    contents["surgery"] = (f"evaluation/{SURGERY}/bits_per_byte.json", result)
    action = json.loads(files["action"].read_text())
    for name, (artifact, content) in contents.items():
        action["inputs"][name] = {"artifact": artifact, "path": None, "digest": name[0] * 64}
        files[name] = folder / f"{name}.json"
        files[name].write_text(json.dumps(content))
    files["action"].write_text(json.dumps(action) + "\n")
    return files


def test_every_number_is_stated_with_what_it_is_computed_from(
    files: dict[str, Any], write_report: Write, tmp_path: Path
) -> None:
    report = json.loads((write_report(files, tmp_path / "report") / "report.json").read_text())
    found, measures = report["tokenizer"], report["measures"]
    assert [(line["corpus"], line["source"]) for line in found["sources"]] == [
        *(("domain", None), ("domain", "picorv32"), ("domain", "serv"), ("general", None)),
    ]
    domain = found["sources"][0]
    assert (domain["before"]["value"], domain["after"]["value"]) == (0.4, round(950 / 3000, 6))
    assert domain["change"]["low"] < domain["change"]["value"] == round(950 / 1200 - 1, 6) < domain["change"]["high"]
    assert (found["pieces"]["added"], found["pieces"]["unused"]) == (3, 1)
    assert found["pieces"]["share"] == {"domain": 0.1, "general": 0.02}
    assert found["context"] == {"tokens": 256, "lines_before": 6.4, "lines_after": round(256 * 30 / 950, 1)}
    tokens = round(1e6 * (0.65 * 1200 / 950 + 0.35))
    assert found["training"]["tokens_before"] == tokens
    assert found["training"]["hours_before"] == pytest.approx(tokens * 1000 / 3.6e9 / 3600)
    assert found["training"]["hours_after"] == pytest.approx(1e6 * 1020 / 3.6e9 / 3600)
    bits = found["bits_per_byte"]["domain"]
    assert set(bits) == {"base", SURGERY, "dapt"}
    assert bits[SURGERY]["value"] == pytest.approx(1.5 * bits["base"]["value"], abs=1e-5)
    assert bits["dapt"]["value"] == measures["bits_per_byte.domain"]["models"]["dapt"]["value"]
    names = {"tokenizer_panel.json", *(f"evaluation/{name}/bits_per_byte.json" for name in bits)}
    assert found["computed_from"].keys() == names and found["computed_from"]["tokenizer_panel.json"] == "t" * 64


def test_the_page_shows_both_segmentations_and_escapes_pieces(
    files: dict[str, Any], write_report: Write, tmp_path: Path
) -> None:
    page = (write_report(files, tmp_path / "report") / "report.html").read_text()
    section = page[page.index(">Tokenizer</a></h2>") : page.index(">Training</a></h2>")]
    assert "<code> clk&lt;b&gt;</code>" in section and "<code> clock⏎</code> 0.75" in section
    assert '<pre class="tokens" tabindex="0"><span>module</span><span> a</span><span>;</span></pre>' in section
    assert '<pre class="tokens" tabindex="0"><span>module</span><span> a;</span></pre>' in section
    assert "3 tokens before, 2 after" in section
    assert "<th>base</th><th>base with new rows, not trained</th><th>dapt</th>" in section
    assert "hold 6.4 lines of held-out RTL before and 8.1 after" in section
    assert (
        f"-{SPACE}" not in section and f"3 new pieces, of which 1 are in no test text; they are 10.0{SPACE}%" in section
    )


def test_without_new_pieces_the_page_has_the_table_alone(
    make_inputs: Make, write_report: Write, tmp_path: Path
) -> None:
    folder = write_report(make_inputs(), tmp_path / "report")
    assert "new pieces" not in (folder / "report.html").read_text()
    assert "tokenizer" not in json.loads((folder / "report.json").read_text())


def test_a_damaged_panel_is_a_named_error(files: dict[str, Any], write_report: Write, tmp_path: Path) -> None:
    files["tokenizer_panel"].write_text(json.dumps({**PANEL, "documents": {}}))
    with pytest.raises(UnusableResult, match="is not a Panel: documents"):
        write_report(files, tmp_path / "report")
