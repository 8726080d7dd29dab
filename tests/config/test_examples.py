"""The example configurations are valid over the default."""

from pathlib import Path

import pytest
import yaml

from tapeout.config.load import load
from tapeout.config.problems import InvalidConfig
from tapeout.config.root import Settings
from tapeout.costs.estimates import Estimates
from tapeout.costs.table import CostTable
from tapeout.sources.kinds._hub import HubSource
from tests.config.test_root import overlaid

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources files are named relative to the repository."""
    monkeypatch.chdir(ROOT)


def laid_over(example: str = "chipnemo", **changed: object) -> Settings:
    return load({**overlaid(yaml.safe_load((ROOT / f"config/examples/{example}.yaml").read_text())), **changed})


def test_the_papers_blend() -> None:
    settings = laid_over()
    weights = {name: component.weight for name, component in settings.pretraining.components.items()}
    assert weights["documentation"] == 34.0 and sum(weights.values()) == pytest.approx(100.1)
    assert set(settings.pretraining.sources) <= set(settings.used_sources)
    job = settings.pretraining.documents_job("github", "each its own")
    assert job.field == "content" and job.component == "github" and "weight" not in job.identity()


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


def test_the_playbooks_data() -> None:
    settings = laid_over("seeds")
    formats = {name: options.format for name, options in settings.instructions.sets.items()}
    assert formats == {
        "rtl": "rtl",
        "questions": "prompt_response",
        "dolly-15k": "prompt_response",
        "oasst1": "chat_trees",
        "squad-v1.1": "squad",
        "squad-v2.0": "squad",
    }
    assert {*formats, "wikipedia-simple"} - {"rtl"} <= set(settings.used_sources)
    estimates = Estimates(settings)
    assert estimates.source_bytes("squad-v2.0") == 42_123_633 and estimates.source_bytes("oasst1") is None
    assert estimates.download_bytes("oasst1") is None


def test_preference_training() -> None:
    settings = laid_over("dpo")
    job = settings.methods["dpo"]
    assert job.read_sources == ("preferences",) and "preferences" in settings.used_sources
    assert "preferences" not in load(yaml.safe_load((ROOT / "config/default.yaml").read_text())).used_sources
    table = CostTable(settings)
    gflop = table("dpo", {})["gflop"]
    assert isinstance(gflop, int) and gflop > 0
    longer = {**job.identity(), "max_steps": 2 * job.max_steps}
    twice = CostTable(laid_over("dpo", methods={"dpo": longer}))("dpo", {})["gflop"]
    assert twice == pytest.approx(2 * gflop, abs=1), "the cost of a method is that of its own parameters"


def test_the_playbooks_sources_are_pinned_to_commits_and_hashes() -> None:
    sources = laid_over("seeds").sources
    assert {name for name, source in sources.items() if isinstance(source, HubSource)} == {
        *("dolly-15k", "dolly-15k-first", "oasst1", "oasst1-ready", "squad-rows"),
        *("wikipedia-simple", "wikipedia-en", "llama-2-7b"),
    }
    first, now = sources["dolly-15k-first"], sources["dolly-15k"]
    assert isinstance(first, HubSource) and isinstance(now, HubSource)
    assert [source.files[0].size for source in (first, now)] == [13_216_570, 13_085_339]
    assert len(sources["wikipedia-en"].remote_files) == 41


def test_the_lora_of_the_automodel_tutorial() -> None:
    """Its numbers, and the rules that it adds to the graph."""
    settings = laid_over("automodel_lora")
    job = settings.methods["automodel_lora"].identity()
    stated = {"max_steps": 100, "warmup_steps": 0, "lr": 1e-5, "schedule": "constant", "betas": [0.9, 0.999]}
    stated |= {"weight_decay": 0.01, "grad_clip": 0.5, "micro_batch_size": 2, "global_batch_size": 2 * 10}
    stated |= {"target_modules": ["*_proj"], "dim": 8, "alpha": 32, "jit": False}
    assert {key: job[key] for key in stated} == stated
    assert settings.further_rules == ["automodel_lora", "merged", "export_adapter"] and settings.adapter_methods == [
        "automodel_lora"
    ]
    assert settings.evaluation.models["lora"] == "automodel_lora/merged"
    assert laid_over("seeds").further_rules == ["pretraining"]


def test_lora_in_megatron() -> None:
    settings = laid_over("lora")
    assert settings.further_rules == ["lora", "merged", "export_adapter"] and settings.adapter_methods == ["lora"]
    assert settings.evaluation.models["lora"] == "lora/merged"
    own, other = (load({"methods": {name: {}}}).methods[name].identity() for name in ("lora", "automodel_lora"))
    assert all(own[key] == other[key] for key in ("target_modules", "dim", "alpha"))


def test_vocabularies_at_equal_bytes() -> None:
    settings = laid_over("tokenizer_sweep")
    assert settings.sweep.variants == ["vocabulary=cohesive", "vocabulary=frequent", "vocabulary=base"]


def test_the_sweep() -> None:
    sweep = laid_over("sweep").sweep
    assert len(sweep.variants) == 6 and len(sweep.combinations) == 11
    assert "lr=0.003,new_pieces=768" in sweep.variants, "the configuration itself is one of them"
