"""Facts of a run: exactly the keys that were changed, and every seed."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.load import load
from tapeout.config.run_facts import _default_file, flat, run_facts
from tapeout.config.yaml_files import merge
from tests.config.test_root import default

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {}),
        ({"sft": {"lr": 0.001}, "report": {"on_failure": "stop"}}, {"sft.lr": 0.001}),
        ({"data_report": {"ngram_words": 9}, "dapt": {"seed": 5}}, {"dapt.seed": 5}),
        ({"instructions": {"sets": {"rtl": {"split": {"test": 0.1}}}}}, {"instructions.sets.rtl.split.test": 0.1}),
        ({"corpus": {"domain": {"test": ["serv"]}}}, {"corpus.domain.test": ["serv"]}),
    ],
)
def test_only_changed_keys_are_named(
    given: dict[str, Any], changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    facts = run_facts(load(merge(default(), given)), {"torch": "2"})
    assert facts.changed == changed and facts.versions == {"torch": "2"}
    assert {"dapt.seed", "sft.seed", "report.seed"} <= facts.seeds.keys()
    assert facts.seeds["dapt.seed"] == changed.get("dapt.seed", 1)


def test_values_are_flattened_to_dotted_keys() -> None:
    assert dict(flat({"a": {"b": 1, "c": {}}, "d": [{"e": 2}]})) == {"a.b": 1, "a.c": {}, "d": [{"e": 2}]}


def test_facts_need_no_sources_but_those_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an export, which has the default configuration without the sources file that it names."""
    monkeypatch.chdir(ROOT)
    settings = load(merge(default(), {"sft": {"lr": 0.001}}))
    (tmp_path / "config").mkdir()
    shutil.copy(ROOT / "config/default.yaml", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    _default_file.cache_clear()
    assert run_facts(settings, {}).changed == {"sft.lr": 0.001}
