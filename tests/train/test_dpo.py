"""Preference training (DPO) has the losses and gradients of the paper's formula, in every layout and after any kill."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from tapeout.models.tokenizer_file import tokenizer_path
from tapeout.nemo.checkpoint import checkpoint_tensors, load_model
from tapeout.train.launch import single_rank
from tapeout.train.methods import dpo
from tapeout.train.samples import Sample, TrainingData
from tests.nemo.process import run_program
from tests.nemo.tiny_model import folder_content
from tests.train.dpo_trainings import BETA, KILLS, LAYOUTS, PAIRS, STEPS, parameters
from tests.train.interrupted_trainings import last_checkpoint
from tests.train.plain_loop import Curve, rows, train_plainly

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the trainings of dpo_trainings.py."""
    return run_program("train.dpo_trainings", tmp_path_factory, timeout=1500)


@pytest.fixture(scope="module")
def data(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """Return the samples of the trainings."""
    job = dpo.Parameters.model_validate(parameters("micro4"))
    inputs = {"pairs": [folder / "ports"], "template": folder / "template.json"}
    return dpo.data(job, tokenizer_path(folder / "base"), inputs, single_rank(tmp_path_factory.mktemp("data")).once)


def answer_log_probability(model: Any, row: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the sum of the log-probabilities of the labels with mask 1 of one row."""
    tokens, labels, mask = row
    return (model(tokens[None]).logits[0].log_softmax(1).gather(1, labels[:, None])[:, 0] * mask).sum()


def paper_loss(source: Path) -> Callable[[Any, list[Sample]], Tensor]:
    """Return equation 7 of arXiv 2305.18290 with a second model as the reference."""
    reference = AutoModelForCausalLM.from_pretrained(source, torch_dtype=torch.float32)

    def loss(model: Any, batch: list[Sample]) -> Tensor:
        total = torch.zeros(())
        for sample in batch:
            chosen, rejected = rows(sample)
            with torch.no_grad():
                start = answer_log_probability(reference, chosen) - answer_log_probability(reference, rejected)
            now = answer_log_probability(model, chosen) - answer_log_probability(model, rejected)
            total = total - torch.log(torch.sigmoid(BETA * (now - start)))
        return total / len(batch)

    return loss


@pytest.fixture(scope="module", params=[1, STEPS])
def plain(request: pytest.FixtureRequest, folder: Path, data: TrainingData) -> tuple[int, Curve]:
    """Return a step, and a training in plain PyTorch with the gradients of that step."""
    job, source = dpo.Parameters.model_validate(parameters("micro4")), folder / "source"
    return request.param, train_plainly(source, data.train, job, paper_loss(source), request.param)


def log_of(folder: Path, name: str) -> dict[str, Any]:
    """Return the log of a training."""
    log: dict[str, Any] = json.loads((folder / name / "train_log.json").read_text())
    return log


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_first_loss_is_log_2(folder: Path, name: str) -> None:
    first = log_of(folder, name)["steps"][0]
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert first["reward_margin"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", ["micro4", "micro2", "micro1"])
def test_losses_and_gradients_are_those_of_a_plain_loop(folder: Path, plain: tuple[int, Curve], name: str) -> None:
    step, curve = plain
    assert [entry["loss"] for entry in log_of(folder, name)["steps"]] == pytest.approx(curve.losses, abs=2e-6)
    gradients = torch.load(folder / f"{name}.gradients.{step}", weights_only=True)
    assert gradients.keys() == curve.gradients.keys()
    assert max(float(gradient.abs().max()) for gradient in gradients.values()) > 1e-2
    for weight, gradient in gradients.items():
        assert float((gradient - curve.gradients[weight]).abs().max()) < 1e-6, weight
    trained = load_model(folder / name).state_dict()
    assert max(float((trained[weight] - value).abs().max()) for weight, value in curve.weights.items()) < 1e-5


def test_accuracy_is_1_on_separable_pairs(folder: Path) -> None:
    steps = log_of(folder, "micro4")["steps"]
    assert steps[0]["accuracy"] < 1 and [step["accuracy"] for step in steps[-4:]] == [1, 1, 1, 1]
    assert steps[-1]["reward_margin"] > 0.2 and steps[-1]["loss"] < 0.6
    for step in steps:
        assert step["loss"] >= math.log1p(math.exp(-step["reward_margin"])) - 1e-6, "the loss is convex in the margin"


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "micro4"])
def test_every_layout_trains_the_model_of_one_rank(folder: Path, name: str) -> None:
    one, other = log_of(folder, "micro4"), log_of(folder, name)
    for a, b in zip(one["steps"], other["steps"], strict=True):
        assert a["tokens"] == b["tokens"] and a["loss"] == pytest.approx(b["loss"], abs=1e-5)
        assert a["reward_margin"] == pytest.approx(b["reward_margin"], abs=1e-4)
    expected, actual = checkpoint_tensors(folder / "micro4"), checkpoint_tensors(folder / name)
    assert max(float((expected[weight] - actual[weight]).abs().max()) for weight in expected) < 1e-5


def test_a_killed_training_is_resumed_with_the_same_bytes(folder: Path) -> None:
    """On two ranks with a divided optimizer, each of which measures the first model again."""
    expected, actual = folder_content(folder / "data"), folder_content(folder / "killed")
    assert len(expected) > 8 and expected == actual
    *killed, last = json.loads((folder / "results.json").read_text())["killed"]
    assert len(killed) == KILLS and {status for attempt in killed for status in attempt["statuses"]} == {-9}
    assert set(last["statuses"]) == {0}
    assert last_checkpoint([attempt["outputs"][0] for attempt in (*killed, last)]) == STEPS - 1


def test_dropped_pairs_are_counted(folder: Path) -> None:
    report = log_of(folder, "micro4")["data"]
    assert report["pairs"] == len(PAIRS) and report["read"] == {"files": 1, "pairs": len(PAIRS) + 2}
    assert report["dropped"] == {
        "chosen and rejected have the same token ids": {"count": 1, "first": ["pairs.jsonl, line 1"]},
        "the two answers are longer than seq_length": {"count": 1, "first": ["pairs.jsonl, line 2"]},
    }
