"""The example configurations are valid over the default."""

from pathlib import Path

import pytest
import yaml

from tapeout.config.root import InvalidConfig, Settings, load

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources files are named relative to the repository."""
    monkeypatch.chdir(ROOT)


def laid_over(**changed: object) -> Settings:
    default = yaml.safe_load((ROOT / "config" / "default.yaml").read_text())
    return load({**default, **yaml.safe_load((ROOT / "config/examples/chipnemo.yaml").read_text()), **changed})


def test_the_papers_blend() -> None:
    settings = laid_over()
    weights = {name: each.weight for name, each in settings.pretraining.components.items()}
    assert weights["documentation"] == 34.0 and sum(weights.values()) == pytest.approx(100.1)
    assert set(settings.pretraining.sources) <= set(settings.used_sources)
    job = settings.pretraining.documents_job("github", "each its own")
    assert job["field"] == "content" and job["component"] == "github" and "weight" not in job


@pytest.mark.parametrize(
    ("component", "words"),
    [
        ({"sources": ["ibex", "ibex"], "weight": 1}, "named twice"),
        ({"sources": ["serv"], "weight": 1}, "serv, which is held out"),
        ({"sources": ["nowhere"], "weight": 1}, "nowhere"),
        ({"sources": ["ibex"], "weight": 0}, "weight"),
    ],
)
def test_what_makes_no_sense_is_refused(component: dict, words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        laid_over(pretraining={"components": {"one": component}})
