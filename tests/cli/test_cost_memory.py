"""``tapeout cost`` of the published models: nodes, memory by term, and what to change where it does not fit."""

from pathlib import Path

import pytest
from rich.console import Console

from tapeout.cli import cost_memory, project
from tapeout.graph.plan.forecast import forecast

ROOT = Path(__file__).parents[2]
TERMS = ["weights", "gradients", "optimizer", "activations", "logits", "workspace"]


@pytest.mark.parametrize(
    ("model", "nodes", "fits"), [("llama2-7b", 4, True), ("llama2-13b", 8, True), ("llama2-70b", 32, False)]
)
def test_each_training_states_its_memory_by_term(
    model: str, nodes: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    loaded = project.load([Path(f"config/models/{model}.yaml")], "sft/model")
    steps = forecast(loaded.workspace, loaded.decisions.values(), [], {}).steps
    found = cost_memory.memory(loaded.layer.costs, steps)
    assert list(found) == ["dapt/model", "sft/model"]
    for run in found.values():
        assert (run["nodes"], run["gpus_per_node"], run["fits"]) == (nodes, 8, fits)
        assert list(run["terms"]) == TERMS and sum(run["terms"].values()) == run["total"]
    console = Console(width=100)
    with console.capture() as capture:
        for part in cost_memory.parts(found):
            console.print(part)
    text = " ".join(capture.get().split())
    assert f"nodes x GPUs {nodes} x 8 {nodes} x 8" in text
    refused = "dapt/model does not fit: 178 GiB of 79. The largest term is optimizer, 96 GiB. fix: No layout fits:"
    assert (refused in text) != fits


def test_a_table_of_hints_without_memory_shows_nothing() -> None:
    assert cost_memory.memory(lambda rule, wildcards: {}, []) == {} and cost_memory.parts({}) == []
