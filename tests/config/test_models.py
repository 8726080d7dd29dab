"""The configurations of published models: their sizes, and the whole plan of each."""

from pathlib import Path

import pytest
import yaml

from tapeout.cli import project
from tapeout.config.load import load_files
from tapeout.config.problems import InvalidConfig
from tapeout.costs.table import CostTable

ROOT = Path(__file__).parents[2]
PARAMETERS = {
    "llama2-7b": 6_738_415_616,
    "llama2-13b": 13_015_864_320,
    "llama2-70b": 68_976_648_192,
    "llama3-8b": 8_030_261_248,
    "mistral-7b": 7_248_023_552,
    "tinyllama-1.1b": 1_100_048_384,
    "smollm2-135m": 134_515_008,
    "gpt-2b-001": 2_253_590_528,
}
"""Of the published checkpoints."""
UNPINNED = {"gpt-2b-001": "nvidia/GPT-2B-001"}
"""Repositories of models of which no commit is known: the user pins one."""


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources files are named relative to the repository."""
    monkeypatch.chdir(ROOT)


def files(name: str, folder: Path) -> list[Path]:
    """Return the configuration of a model, with a stand-in for a record that the user writes."""
    config = [Path(f"config/models/{name}.yaml")]
    if name in UNPINNED:
        record = {"kind": "hf_model", "repository": UNPINNED[name], "revision": "0" * 40, "licence": "CC-BY-4.0"}
        (folder / "record.yaml").write_text(yaml.safe_dump({name: {**record, "files": [{"path": "a.nemo"}]}}))
        sources = {"sources": ["config/sources.yaml", str(folder / "record.yaml")]}
        (folder / "config.yaml").write_text(yaml.safe_dump(sources))
        config.append(folder / "config.yaml")
    return config


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "config/models").glob("*.yaml")))
def test_a_model_has_its_published_size_and_its_graph_is_complete(name: str, tmp_path: Path) -> None:
    settings, *_ = load_files(["config/default.yaml", *files(name, tmp_path)])
    base, (source,) = settings.base, settings.base.sources
    assert base.architecture.parameter_count(base.rows) == PARAMETERS[name]
    if settings.sources[source].kind == "hf_model":
        costs = CostTable(settings)
        assert all(costs.memory(rule) for rule in ("dapt", "sft"))
        assert costs("fetch", {"source": source})["typical_bytes"] == PARAMETERS[name] * (4 if "tiny" in name else 2)
    recipes = project.load(files(name, tmp_path)).recipes
    assert {"eval_report", "export/hf", f"sources/{source}"} <= recipes.keys()
    assert recipes["base"].rule == base.rule and f"sources/{source}" in recipes["base"].dependencies()


def test_a_model_without_a_known_commit_names_the_command_that_pins_it() -> None:
    for name in UNPINNED:
        file = Path(f"config/models/{name}.yaml")
        command = f"tapeout sources pin hf_model:{UNPINNED[name]} --file"
        assert command in file.read_text()
        with pytest.raises(InvalidConfig, match=f"There is no sources file config/sources/{name}") as error:
            load_files(["config/default.yaml", file])
        assert f"tapeout sources pin hf_model:OWNER/NAME > config/sources/{name}.yaml" in str(error.value)
