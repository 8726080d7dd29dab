"""What decides the bytes of a training on GPUs is part of its action, and the explanation names which of it changed."""

import re
from pathlib import Path
from typing import Any

import pytest

from tapeout.config.dapt import Dapt
from tapeout.graph.identity.action import Recipe
from tapeout.graph.identity.environment import Environment, read_environment
from tapeout.graph.plan.explain import compare, record_definitions
from tapeout.graph.store.store import Store

ROOT = Path(__file__).parents[2]
JOB = {
    "precision": "bf16-mixed",
    "micro_batch_size": 1,
    "layout": {"devices": 8, "accelerator": "gpu", "gpu_model": "NVIDIA H100 80GB HBM3"},
}


def environment(folder: Path, package: str = "") -> Environment:
    """Return the environment of nemo-cuda.lock; with a package, that of a lock with a later version of it."""
    text = (ROOT / "envs/nemo-cuda.lock").read_text()
    changed, count = re.subn(rf"(?m)^({package}==[^ ]+) ", r"\1.9 ", text) if package else (text, 1)
    assert count == 1
    (folder / "envs").mkdir(exist_ok=True)
    (folder / "envs/nemo-cuda.lock").write_text(changed)
    return read_environment("nemo-cuda", folder)


def recipe(job: dict[str, Any], packages: Environment) -> Recipe:
    params = Dapt.model_validate(job).identity()
    return Recipe(
        "dapt/model", "dapt", "scripts/dapt.py", {}, packages.name, packages.digest, params, {}, {"gres": "gpu:8"}
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"gpu_model": "NVIDIA H200"}, [("parameter", "layout.gpu_model", "NVIDIA H100 80GB HBM3", "NVIDIA H200")]),
        ({"distributed_optimizer": True}, [("parameter", "layout.distributed_optimizer", False, True)]),
        ({"tensor_model_parallel_size": 2}, [("parameter", "layout.tensor_model_parallel_size", 1, 2)]),
        ("torch", [("environment", "nemo-cuda: torch")]),
        ("triton", [("environment", "nemo-cuda: triton")]),
        ("nvidia-cublas", [("environment", "nemo-cuda: nvidia-cublas")]),
        ("nvidia-cudnn-cu13", [("environment", "nemo-cuda: nvidia-cudnn-cu13")]),
        ("nvidia-nccl-cu13", [("environment", "nemo-cuda: nvidia-nccl-cu13")]),
        ({}, []),
    ],
)
def test_what_changed_is_named(tmp_path: Path, change: dict[str, Any] | str, named: list[tuple[Any, ...]]) -> None:
    store, job = Store(tmp_path / "store"), JOB
    old, new = environment(tmp_path), environment(tmp_path, change if isinstance(change, str) else "")
    if not isinstance(change, str):
        job = {**JOB, "layout": {**JOB["layout"], **change}}  # type: ignore[dict-item]
    recipes = recipe(JOB, old), recipe(job, new)
    for each, packages in zip(recipes, (old, new), strict=True):
        record_definitions(store, each, packages)
    changes = compare(*(each.describe({}) for each in recipes), store)
    found = [(each.kind, each.name, each.old, each.new) for each in changes]
    assert [row[: len(expected)] for row, expected in zip(found, named, strict=True)] == named
    assert (recipes[0].action(lambda _: pytest.fail()).digest == recipes[1].action(lambda _: pytest.fail()).digest) == (
        not named
    )
