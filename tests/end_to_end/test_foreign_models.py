"""Models of other families through the whole graph: import, extension, both trainings, export and evaluation."""

import json
import subprocess
from pathlib import Path

import pytest

from tapeout.graph.identity.environment import read_environment
from tests.end_to_end.conftest import ROOT, Clone, clone
from tests.end_to_end.foreign_models import CHATML, MODELS, TEMPLATED

IN_MAKE_TEST = "qwen3"
"""The model of ``make test``; ``make test-families`` takes the others through the graph, each in one to two minutes."""
OTHERS = [pytest.param(name, marks=pytest.mark.families) for name in MODELS if name != IN_MAKE_TEST]


def with_model(folder: Path, name: str) -> Clone:
    """Return a new clone whose base model is ``name``."""
    made = clone(folder)
    python = ROOT / read_environment("nemo", ROOT).folder / "bin" / "python"
    subprocess.run([python, "-m", "tests.end_to_end.foreign_models", "tiny", name], cwd=made.root, check=True)
    return made


@pytest.mark.usefixtures("shared_store")
@pytest.mark.parametrize("name", [pytest.param(IN_MAKE_TEST, marks=pytest.mark.end_to_end), *OTHERS])
def test_a_model_of_another_family_goes_through_the_graph(name: str, tmp_path: Path) -> None:
    made = with_model(tmp_path / "clone", name)
    made.run("eval_report", "export/hf")
    results = made.root / "results"
    imported = json.loads((results / "base/import.json").read_bytes())
    assert imported["padding_rows"] == 5
    parity = json.loads((results / "export/hf/parity.json").read_bytes())
    assert parity["largest_difference"] < 1e-5, "the exported model computes what NeMo's own model computes"
    assert parity["token_ids"]["fast"]["prompts"] > 0 and parity["token_ids"]["fast"]["texts"] > 0
    exported = json.loads((results / "export/hf/config.json").read_bytes())
    base = json.loads((results / "base/config.json").read_bytes())
    assert exported["architectures"] == base["architectures"]
    template = json.loads((results / "export/hf/tokenizer_config.json").read_bytes())["chat_template"]
    assert template.endswith(CHATML) == (name == TEMPLATED), "the model's own template, after a check of names"
    assert exported["vocab_size"] == imported["vocabulary"] + 16, "padding rows are used first"
