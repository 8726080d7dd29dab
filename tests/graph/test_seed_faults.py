"""Faults of the published notebooks in what depends on what (docs/faults.md, F11)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tapeout.cli import project
from tapeout.graph.identity.action import Recipe

ROOT = Path(__file__).parents[2]


def upstream(recipes: dict[str, Recipe], name: str) -> Iterator[str]:
    """Yield the artifacts that one reads itself."""
    for value in recipes[name].inputs.values():
        yield from (one.artifact for one in (value if isinstance(value, list) else [value]))


def test_f11_what_trains_evaluates_and_serves_uses_the_extended_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    recipes = dict(project.load(None, "eval_report").recipes)

    def reads(name: str, wanted: str, without: str = "") -> bool:
        return name == wanted or any(reads(one, wanted, without) for one in upstream(recipes, name) if one != without)

    for name in (
        "dapt/model",
        "sft/model",
        "export/hf",
        "export/certificate.json",
        "evaluation/sft/bits_per_byte.json",
    ):
        assert reads(name, "tokenizer")
        assert reads(name, "base") and not reads(name, "base", without="base_extended"), "only with the new rows"
    assert reads("encoded/rtl", "tokenizer")
