"""The configurations of published models: their sizes, and the whole plan of each."""

from pathlib import Path

import pytest

from tapeout.cli import project
from tapeout.config.load import load_files
from tapeout.config.root import Settings
from tapeout.costs.table import CostTable

ROOT = Path(__file__).parents[2]
PARAMETERS = {
    "llama2-7b": 6_738_415_616,
    "llama2-13b": 13_015_864_320,
    "llama2-70b": 68_976_648_192,
    "llama3-8b": 8_030_261_248,
    "mistral-7b": 7_248_023_552,
    "tinyllama-1.1b": 1_100_048_384,
}
"""Of the published checkpoints."""


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources files are named relative to the repository."""
    monkeypatch.chdir(ROOT)


def file(name: str) -> Path:
    return Path(f"config/models/{name}.yaml")


def configured(name: str) -> Settings:
    return load_files(["config/default.yaml", file(name)])[0]


def test_every_configuration_is_tested() -> None:
    assert {path.stem for path in (ROOT / "config/models").glob("*.yaml")} == PARAMETERS.keys()


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_model_has_its_published_size_and_its_graph_is_complete(name: str) -> None:
    settings = configured(name)
    base = settings.base
    assert base.architecture.parameter_count(base.rows) == PARAMETERS[name]
    (source,) = base.sources
    assert settings.sources[source].kind == "hf_model"
    costs = CostTable(settings)
    assert all(costs.memory(rule) for rule in ("dapt", "sft"))
    assert costs("fetch", {"source": source})["typical_bytes"] == PARAMETERS[name] * (4 if "tiny" in name else 2)
    recipes = project.load([file(name)]).recipes
    assert {"eval_report", "export/hf", f"sources/{source}"} <= recipes.keys()
    assert recipes["base"].rule == base.rule and f"sources/{source}" in recipes["base"].dependencies()
