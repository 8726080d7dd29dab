"""``tapeout cost`` of the published models: nodes, memory by term, and what to change where it does not fit."""

from pathlib import Path

import pytest
from rich.console import Console

from tapeout.cli import cost_memory, project
from tapeout.graph.plan.forecast import forecast

ROOT = Path(__file__).parents[2]
TERMS = ["weights", "gradients", "optimizer", "activations", "logits", "workspace"]


@pytest.mark.parametrize(
    ("model", "nodes", "parts", "refusal"),
    [
        ("llama2-7b", 4, "4 x 1 x 1 x 8", ""),
        ("llama2-13b", 8, "8 x 1 x 1 x 8", ""),
        ("llama2-70b", 32, "8 x 4 x 1 x 8", ""),
        (
            "too_large",
            32,
            "8 x 1 x 1 x 32",
            "dapt/model does not fit: 177 GiB of 79. The largest term is optimizer, 96 GiB. fix: Set "
            "dapt.layout.distributed_optimizer true and dapt.layout.sequence_parallel true: 66 GiB.",
        ),
    ],
)
def test_each_training_states_its_memory_by_term(
    model: str, nodes: int, parts: str, refusal: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    names = [Path(f"config/models/{model}.yaml")]
    if refusal:
        undivided = "{pipeline_model_parallel_size: 1, sequence_parallel: false, distributed_optimizer: false}"
        own = tmp_path / "own.yaml"
        own.write_text(f"dapt: {{layout: {undivided}}}\nsft: {{layout: {undivided}}}\n")
        names = [Path("config/models/llama2-70b.yaml"), own]
    loaded = project.load(names, "sft/model")
    steps = forecast(loaded.workspace, loaded.decisions.values(), [], {}).steps
    found = cost_memory.memory(loaded.layer.costs, steps)
    assert list(found) == ["dapt/model", "sft/model"]
    for run in found.values():
        assert (run["nodes"], run["gpus_per_node"], run["fits"]) == (nodes, 8, not refusal)
        assert list(run["terms"]) == TERMS and sum(run["terms"].values()) == run["total"]
    console = Console(width=100)
    with console.capture() as capture:
        for part in cost_memory.parts(found):
            console.print(part)
    text = " ".join(capture.get().split())
    assert f"nodes x GPUs {nodes} x 8 {nodes} x 8" in text
    assert f"tensor x pipeline x context x data {parts} {parts}" in text
    assert refusal in text and ("does not fit" in text) == bool(refusal)


def test_a_table_of_hints_without_memory_shows_nothing() -> None:
    assert cost_memory.memory(lambda rule, wildcards: {}, []) == {} and cost_memory.parts({}) == []
