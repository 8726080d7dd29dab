"""GPUs of a plan: those that this machine lacks, and those that a step occupies without computing on them."""

from pathlib import Path
from typing import Any

import pytest

from tapeout.graph.identity.action import Recipe
from tapeout.graph.plan.hardware import idle_gpus, missing_gpus


def recipe(artifact: str, **resources: Any) -> Recipe:
    return Recipe(artifact, artifact, "a.py", {}, "light", "0", {}, {}, resources)


@pytest.mark.parametrize(
    ("resources", "present", "cause"),
    [
        ({"gres": "gpu:8", "nodes": 2}, 0, "This machine has no GPU for train."),
        ({"gres": "gpu:h100:1"}, 0, "This machine has no GPU for train."),
        ({"gres": "gpu:8"}, 1, None),
        ({"gres": "gpu:8", "device": "cpu"}, 0, None),
        ({}, 0, None),
    ],
)
def test_gpus_that_this_machine_lacks(
    tmp_path: Path, resources: dict[str, Any], present: int, cause: str | None
) -> None:
    for number in range(present):
        (tmp_path / f"nvidia{number}").touch()
    (tmp_path / "nvidiactl").touch()
    error = missing_gpus([recipe("words"), recipe("train", **resources)], tmp_path)
    assert (error and error.cause) == cause


def test_gpus_that_a_step_does_not_use() -> None:
    idle = recipe("dapt/model", gres="gpu:8", nodes=2, device="cpu")
    used = recipe("sft/model", gres="gpu:8", device="gpu")
    assert idle_gpus([recipe("words"), used]) == ""
    assert idle_gpus([idle, used]).endswith("layout.accelerator is cpu (docs/training.md): dapt/model (16).")
