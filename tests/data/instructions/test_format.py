"""Data formats are a seam: a set in a toy format from outside the package, from the configuration to token ids."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tapeout import plugins
from tapeout.config.instructions import FORMATS
from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig
from tapeout.config.yaml_files import merge
from tapeout.data.instructions.format import load_format
from tests.small_tokenizer import train

pytestmark = pytest.mark.environment("data")

ROOT = Path(__file__).parents[3]
TOY = "tests.toys.toy_format"


def step(script: str, folder: Path, params: str, plugin: str, *inputs: object) -> subprocess.CompletedProcess[str]:
    (folder / "params.json").write_text(params)
    command = [sys.executable, f"scripts/{script}.py", "--params", str(folder / "params.json"), *map(str, inputs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TAPEOUT_PLUGINS": plugin}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_a_set_in_a_format_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    source = tmp_path / "source"
    source.mkdir()
    (source / "sums.txt").write_text("".join(f"What is {number} + 1? -> It is {number + 1}.\n" for number in range(99)))
    sources = yaml.safe_load((ROOT / "config/sources.yaml").read_text())
    sources["sums"] = {"kind": "folder", "path": str(source), "licence": "MIT"}
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump(sources))
    options = {"format": TOY, "mark": "->", "split": {"near_duplicates": 1}}
    sets = {"rtl": {"format": "rtl"}, "sums": options}
    config = {"sources": str(tmp_path / "sources.yaml"), "instructions": {"sets": sets, "train": ["sums"]}}
    settings = load(config)
    assert (settings.format_module("sums"), settings.format_environment("sums")) == (TOY, "data")
    with pytest.raises(InvalidConfig, match=r"sums\.marc is unknown; did you mean mark\?"):
        load(merge(config, {"instructions": {"sets": {"sums": {"marc": "x"}}}}))

    params = settings.instruction_set("sums").model_dump_json()
    refused = step("instructions", tmp_path, params, "", "--sources", source, "--output", tmp_path / "rows")
    assert refused.returncode != 0 and TOY in refused.stderr
    done = step("instructions", tmp_path, params, TOY, "--sources", source, "--output", tmp_path / "rows")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "rows" / "report.json").read_bytes())
    assert report["read"] == {"lines": 99} and sum(report["rows"].values()) == 99

    (tmp_path / "tokenizer.model").write_bytes(train(["What is 12345 + 67890? It is 1."] * 20, hard_vocab_limit=False))
    inputs = ["--rows", tmp_path / "rows", "--tokenizer", tmp_path / "tokenizer.model", "--output", tmp_path / "ids"]
    done = step("encoded", tmp_path, settings.encoding().model_dump_json(), "", *inputs)
    assert done.returncode == 0, done.stderr
    encoded = json.loads((tmp_path / "ids" / "report.json").read_bytes())
    assert {split: encoded[split]["rows"] for split in report["rows"]} == report["rows"]


@pytest.mark.parametrize("name", plugins.available(FORMATS))
def test_every_format_has_the_interface(name: str) -> None:
    module = load_format(name)
    options = module.Options.model_validate({"format": name})
    assert callable(module.rows) and options.held_out == ()
    assert getattr(module, "ENVIRONMENT", "corpus") in ("corpus", "data")
