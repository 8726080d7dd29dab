"""Source kinds are a seam: a kind from outside the package works without an edit of the package."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tapeout import plugins
from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig
from tapeout.config.root import Settings
from tapeout.config.sources import KINDS, Fetch
from tapeout.costs.table import CostTable
from tapeout.graph.identity.code import closure

ROOT = Path(__file__).parents[2]
TOY = {"kind": "tests.toys.literal_source", "text": "module m; endmodule", "licence": "own"}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The default configuration with a core that is written in its record."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"ibex": TOY}))
    return load({"sources": ["config/sources.yaml", str(tmp_path / "mine.yaml")]})


def test_a_toy_kind_brings_model_cost_and_attribution(settings: Settings) -> None:
    source = settings.pinned(lambda files: ["" for _ in files]).sources["ibex"]
    assert source.attribution == {"origin": "text of the record", "licence": "own"}
    assert source.address("text.txt").startswith("urn:sha256:")
    hints = CostTable(settings)("fetch", {"source": "ibex"})
    assert hints == {"typical_seconds": 1, "typical_bytes": 19, "download_bytes": 0}
    assert settings.kind_module("ibex") == TOY["kind"]


def test_a_toy_kind_is_fetched_by_the_rules_script(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text(Fetch(record=settings.sources["ibex"]).model_dump_json())
    command = [sys.executable, "scripts/fetch.py", "--params", tmp_path / "params.json", "--output", tmp_path / "out"]
    for declared, code in ((TOY["kind"], 0), ("tapeout.sources.kinds.pypi", 1)):
        variables = {**os.environ, "PYTHONPATH": str(ROOT), plugins.VARIABLE: declared}
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
    assert (tmp_path / "out" / "text.txt").read_text() == TOY["text"]
    assert "InvalidPlugin" in done.stderr or "does not declare" in done.stderr


def test_errors_of_a_toy_kind_name_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for change, words in (
        ({"txt": "a"}, r"mine.yaml, line 1: the key sources\.ibex\.txt is unknown; did you mean text\?"),
        ({"kind": "pipy"}, r"mine.yaml, line 1: sources\.ibex: kind pipy is unknown; there are file, folder"),
        ({"kind": "tests.toys.nowhere"}, r"mine.yaml, line 1: sources\.ibex: .*tests.toys.nowhere is unknown"),
    ):
        (tmp_path / "mine.yaml").write_text(json.dumps({"ibex": {**TOY, **change}}))
        with pytest.raises(InvalidConfig, match=words):
            load({"sources": ["config/sources.yaml", str(tmp_path / "mine.yaml")]})


@pytest.mark.parametrize("kind", plugins.available(KINDS))
def test_a_kind_reruns_only_its_own_sources(kind: str) -> None:
    code = closure(ROOT / "scripts" / "fetch.py", ROOT, [f"{KINDS}.{kind}"])
    kinds = {Path(path).stem for path in code if path.startswith("tapeout/sources/kinds/")} - {"__init__", "_hub"}
    assert kinds == {kind}
