"""Preference training in the whole graph: from the fine-tuned model to its evaluation."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.end_to_end.conftest import Clone, clone
from tests.starter import run_module

pytestmark = pytest.mark.end_to_end

PAIRS = [
    {"prompt": f"What is {number} + 1?", "chosen": str(number + 1), "rejected": f"{number} + 1"} for number in range(8)
]
METHOD = {"sources": ["pairs"], "max_steps": 6, "warmup_steps": 1, "lr": 0.003, "threads": 1, "global_batch_size": 4}


def write_pairs(path: Path, pairs: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))


def batch(project: Clone, *options: str) -> str:
    """Return what ``tapeout batch dpo`` prints."""
    command = [sys.executable, "-m", "tapeout.cli", "batch", "dpo", "--configfile", "tiny/config.yaml", *options]
    done = run_module(command, project.root, {**os.environ, "COLUMNS": "160"}, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.usefixtures("shared_store")
def test_from_pairs_to_an_evaluated_model(tmp_path: Path) -> None:
    project = clone(tmp_path / "project")
    tiny, results = project.root / "tiny", project.root / "results"
    write_pairs(tiny / "pairs.jsonl", [*PAIRS, {"prompt": "What?", "chosen": "this", "rejected": "this"}])
    sources = {"pairs": {"kind": "file", "path": "tiny/pairs.jsonl", "licence": "own"}}
    (tiny / "pairs.yaml").write_text(yaml.safe_dump(sources))
    config: dict[str, Any] = yaml.safe_load((tiny / "config.yaml").read_text())
    config["sources"] = [config["sources"], "tiny/pairs.yaml"]
    config["methods"] = {"dpo": {**METHOD, "micro_batch_size": 2}}
    models = {"base": "base", "dapt": "dapt/model", "sft": "sft/model", "dpo": "dpo/model"}
    config["evaluation"]["models"] = models
    (tiny / "config.yaml").write_text(yaml.safe_dump(config))

    built = project.run("evaluation/dpo/bits_per_byte.json").built
    assert {"sources/pairs", "sft/model", "dpo/model"} <= {*built}
    log = json.loads((results / "dpo/model/train_log.json").read_bytes())
    assert log["steps"][0]["loss"] == pytest.approx(0.693147, abs=1e-6)
    assert {"reward_margin", "accuracy"} <= log["steps"][-1].keys()
    assert (log["data"]["pairs"], log["data"]["read"]["pairs"]) == (8, 9)
    template = (results / "dpo/model/prompt_template.json").read_bytes()
    assert template == (results / "sft/model/prompt_template.json").read_bytes()

    found = json.loads(batch(project, "--step", "2", "--json"))
    assert len(found["sequences"]) == 4
    for sequence in found["sequences"]:
        chosen, rejected = sequence["sources"]
        line = chosen["name"].removesuffix(", chosen")
        assert line.startswith("pairs/pairs.jsonl, line ") and rejected["name"] == f"{line}, rejected"
        pair = PAIRS[int(line.rpartition(" ")[2]) - 1]
        assert pair["chosen"] in chosen["text"] and pair["prompt"] in rejected["text"]
        assert 0 < chosen["tokens_with_loss"] < chosen["end"] == rejected["start"]
    shown = batch(project, "--step", "2")
    assert ", rejected" in shown and "1 row dropped, chosen and rejected have the same token ids" in shown

    assert project.run("dpo/model").nothing_done
    write_pairs(tiny / "pairs.jsonl", PAIRS)
    assert project.run("dpo/model").built == ["dpo/model", "sources/pairs"]
    config["methods"]["dpo"]["beta"] = 0.2
    (tiny / "config.yaml").write_text(yaml.safe_dump(config))
    assert project.run("dpo/model").built == ["dpo/model"]
