"""``tapeout report``: the page of a report with the times of the journal, and who vouches for each artifact."""

import json
import sys
from pathlib import Path

import pytest

from tapeout.cli.main import main
from tapeout.graph.named_runs import save
from tapeout.graph.workspace import Workspace
from tapeout.report.measured.page import BEFORE, LINK
from tests.cli.test_compare import build
from tests.graph.folders import FINISHED, folder
from tests.report.comparison.test_comparison import JOB

PAGE = f"<ul>{LINK}</ul>\n{BEFORE}Run facts</h2>"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return a folder with a report on a model; the journal has two builds of the model, only one with its bytes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPEOUT_STORE", raising=False)
    here = folder(tmp_path, tmp_path / "store")
    build(here, "sft/model", {"weights": "1"}, {})
    build(here, "eval_report", {"report.html": PAGE}, JOB, "sft/model")
    manifest = here.manifest("sft/model")
    assert manifest is not None
    line = {"artifact": "sft/model", "action": manifest.action, "rule": "sft", "finished": FINISHED, "threads": 2}
    resources = {"gres": "gpu:h100:8", "nodes": 2, "gflop": 989_000, "device": "gpu"}
    here.store.append_journal({**line, "digest": manifest.digest(), "seconds": 1800, "resources": resources})
    here.store.append_journal({**line, "digest": "0" * 64, "seconds": 7, "resources": {}})
    save(here, "before", pinned=False)
    return here


def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["tapeout", "report", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out + captured.err


@pytest.mark.parametrize("name", ["results", "@before"])
def test_measured_values_are_those_of_the_build_with_the_same_bytes(
    here: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, out = call(monkeypatch, capsys, name, "--json", "--output", "run")
    report, model = json.loads(out)
    assert code == 0 and (report["artifact"], model["artifact"]) == ("eval_report", "sft/model")
    assert (model["seconds"], model["threads"], model["gpus"], model["machine"]) == (1800, 2, 16, "h100")
    assert model["peak"] == 16 * 989e12 and model["gflop"] == 989_000 and model["vouched"] == ["this folder"]
    assert report["finished"] == "", "the journal does not know its build"
    page = Path("run/report.html").read_text()
    assert page.index('<h2 id="this-run">') < page.index(BEFORE) and "8.000" in page and FINISHED in page
    assert (here.results / "eval_report/report.html").read_text() == PAGE


def test_what_only_the_store_says_is_stated(
    here: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert here.store.trust is not None
    here.store.trust.built.unlink()
    code, out = call(monkeypatch, capsys)
    assert code == 0 and out.count("the store alone") == 2 and "not in the journal" in out
    inside = ["--output", "results/eval_report"]
    for arguments, said in (
        (["sft/model"], "sft/model is not a run"),
        (["@other"], "other"),
        (inside, "only the build writes"),
    ):
        code, out = call(monkeypatch, capsys, *arguments)
        assert code == 3 and said in out
