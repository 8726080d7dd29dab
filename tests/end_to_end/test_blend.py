"""The domain-adaptive pretraining on a corpus in shards, with real NeMo, and the data report about it."""

import json
from typing import Any

import pytest
import yaml

from tests.end_to_end.conftest import Clone

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def sharded(fresh: Clone) -> Clone:
    """A clone whose training reads three shards."""
    components(fresh, {"design": {"sources": ["alpha"], "weight": 3}, "text": {"sources": ["prose"], "weight": 1}})
    return fresh


def components(clone: Clone, parts: dict[str, dict[str, Any]]) -> None:
    path = clone.root / "tiny/config.yaml"
    config = yaml.safe_load(path.read_text())
    config["pretraining"] = {"shards": 3, "components": parts, "near_duplicates": None}
    config["dapt"]["reads"] = "pretraining"
    path.write_text(yaml.safe_dump(config))


@pytest.mark.usefixtures("shared_store")
def test_dapt_trains_on_the_shards_and_their_gates_hold_it_up(sharded: Clone) -> None:
    run = sharded.run("dapt", ok=False)
    # a fraction of the source prose is the general corpus's test text
    assert "contaminated: test rows of corpus/general in pretraining: " in run.text
    assert "dapt/model" not in run.built
    components(sharded, {"design": {"sources": ["alpha"], "weight": 3}, "more": {"sources": ["beta"], "weight": 1}})
    run = sharded.run("dapt")
    shards = {f"pretraining/{kind}/{number:04d}" for kind in ("shards", "tokens") for number in range(3)}
    inspected = {f"inspected/pretraining/shards/{number:04d}" for number in range(3)}
    assert {*shards, *inspected, "pretraining/blend.json", "gates.json", "dapt/model"} <= set(run.built)
    log = json.loads((sharded.root / "results/dapt/model/train_log.json").read_bytes())
    assert len(log["steps"]) == 12 and log["steps"][-1]["loss"] < log["steps"][0]["loss"]
    report = json.loads((sharded.root / "results/data_report/report.json").read_bytes())
    train = report["sets"]["pretraining"]["splits"]["train"]
    blend = json.loads((sharded.root / "results/pretraining/blend.json").read_bytes())
    documents = sum(component["documents"] for component in blend["components"].values())
    assert train["rows"] == documents == report["steps"]["pretraining/shards"]["kept"]
    # every document ends with one more token than the report counts
    assert train["tokens"] == blend["tokens"] - documents
    assert {gate["artifact"] for gate in report["gates"]} >= {"pretraining", "pretraining/shards"}
    assert sharded.run("dapt").nothing_done
