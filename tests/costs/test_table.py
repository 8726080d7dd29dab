"""The table of cost hints covers exactly the rules that build something."""

import re
from pathlib import Path

import pytest
import yaml

from tapeout import plugins
from tapeout.config.base_options import KINDS
from tapeout.config.load import load
from tapeout.config.methods import SEAM as METHODS
from tapeout.config.root import Settings
from tapeout.costs.table import BASE, TABLE, CostTable

ROOT = Path(__file__).parents[2]
CONFIG = {"pretraining": {"shards": 2, "components": {"text": {"sources": ["django"], "weight": 1}}}}
WILDCARDS = {
    "source": "django",
    "name": "questions",
    "shard": "0001",
    "set": "corpus/domain",
    "model": "base",
    "task": "bits_per_byte",
}


def rules() -> set[str]:
    text = "".join(path.read_text() for path in ROOT.glob("rules/*.smk"))
    blocks = re.split(r"^ *rule (\w+):$", text, flags=re.MULTILINE)[1:]
    return {name for name, body in zip(blocks[::2], blocks[1::2], strict=True) if "build(" in body}


def test_every_rule_has_hints() -> None:
    kinds = {f"base_{name}" for name in plugins.available(KINDS)}
    methods = {*plugins.available(METHODS)} - Settings.model_fields.keys()
    assert set(TABLE) - {BASE} == rules() - kinds - methods and kinds | methods <= rules()


@pytest.mark.parametrize("rule", TABLE)
def test_hints_are_whole_numbers(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    costs = CostTable(load({**yaml.safe_load(Path("config/default.yaml").read_text()), **CONFIG}))
    found = costs(rule, WILDCARDS)
    assert {"typical_seconds", "typical_bytes"} <= found.keys()
    assert all(isinstance(value, int) for value in found.values())


@pytest.mark.parametrize("method", ["lora", "automodel_lora"])
def test_an_adapter_has_neither_the_size_nor_the_memory_of_a_model(method: str) -> None:
    layout = {"accelerator": "gpu", "gpu_model": "NVIDIA H200"}
    costs = CostTable(load({"methods": {method: {"layout": layout, "precision": "bf16-mixed"}}}))
    assert costs(method, {})["typical_bytes"] is None
    assert costs.memory(method) is None


def test_a_rule_without_an_entry_has_none() -> None:
    assert CostTable(load({}))("mine", {}) == {}
