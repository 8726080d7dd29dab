"""The section retrieval: optional, with rules only where it is present."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig
from tapeout.config.report_wiring import ReportWiring
from tapeout.config.root import Settings
from tapeout.config.wiring import Wiring
from tapeout.costs.table import CostTable
from tests.config.test_root import overlaid

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources files are named relative to the repository."""
    monkeypatch.chdir(ROOT)


def with_section(section: dict[str, Any], **changed: Any) -> Settings:
    return load({**overlaid(changed), "retrieval": section})


def test_the_default_has_no_retrieval() -> None:
    settings = load(overlaid({}))
    assert settings.retrieval is None and settings.further_rules == []
    assert ReportWiring(Wiring(settings, lambda *names: names)).recall == {}


def test_bm25_alone_needs_no_source() -> None:
    settings = with_section({})
    assert settings.further_rules == ["retrieval"] and settings.retrieval is not None
    assert settings.retrieval.systems == ("bm25",)
    assert settings.used_sources == load(overlaid({})).used_sources
    assert settings.retrieval_questions.held_out == settings.corpus.domain.test
    assert ReportWiring(Wiring(settings, lambda *names: names)).recall == {"recall": ("retrieval/recall.json",)}


def test_the_example_compares_three_systems() -> None:
    settings = load(overlaid(yaml.safe_load((ROOT / "config/examples/retrieval.yaml").read_text())))
    assert settings.further_rules == ["retrieval", "embedder"] and settings.retrieval is not None
    assert settings.retrieval.systems == ("bm25", "embedder", "embedder_tuned")
    assert "all-minilm-l6-v2" in settings.used_sources
    assert "all-minilm-l6-v2" not in settings.trained_sources
    rules = [line.split()[1].strip(":") for name in settings.further_rules for line in rule_lines(name)]
    assert len(rules) == 7 and all(CostTable(settings)(rule, {}) for rule in rules)


def rule_lines(name: str) -> list[str]:
    lines = (ROOT / f"rules/{name}.smk").read_text().splitlines()
    return [line for line in lines if line.lstrip().startswith("rule ")]


def test_a_change_of_the_model_is_no_change_of_the_passages() -> None:
    one, two = (with_section({"embedder": {"source": name}}).retrieval for name in ("django", "ibex"))
    assert one is not None and two is not None
    assert one.passages == two.passages and one.index == two.index and one.dense == two.dense


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"characters": 100, "overlap": 50}, "half of characters"),
        ({"splits": ["train"]}, "which is not searched"),
        ({"corpora": ["general"]}, "which is not searched"),
        ({"splits": ["test", "test"]}, "splits names something twice"),
        ({"at": [1, 200]}, "not from 1 to depth, 100"),
        ({"questions": "rtll"}, "did you mean rtl"),
        ({"questions": "questions"}, "whose rows are not questions about the cores"),
        ({"embedder": {"source": "nowhere"}}, "names the source nowhere"),
        ({"embedder": {"source": "django", "tuning": {"batch_size": 1}}}, "batch_size"),
    ],
)
def test_what_makes_no_sense_is_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        with_section(section)
