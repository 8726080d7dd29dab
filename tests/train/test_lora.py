"""LoRA of the Megatron model: the known answers, and PEFT's training of the same adapter on the same samples."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaForCausalLM

from tapeout.graph.identity.environment import read_environment
from tapeout.models.adapter import merge_adapter
from tests.nemo.process import run_program
from tests.nemo.tiny_model import folder_content
from tests.train.interrupted_trainings import last_checkpoint
from tests.train.lora_trainings import KILLED_AT, STEPS, prompt

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
PREFIX = "base_model.model."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the trainings of lora_trainings.py."""
    return run_program("train.lora_trainings", tmp_path_factory, timeout=1500)


@pytest.fixture(scope="module")
def peft(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return what peft_reference.py computes, by training."""
    packages = ROOT / read_environment("peft", ROOT).folder / "lib/python3.11/site-packages"
    result, names = tmp_path_factory.mktemp("peft"), ("one", "some")
    subprocess.run(
        [sys.executable, "-m", "tests.train.peft_reference", str(folder), str(result), *names],
        env={**os.environ, "PYTHONPATH": f"{packages}:{ROOT}", "HF_HUB_OFFLINE": "1"},
        cwd=ROOT,
        check=True,
    )
    return {name: torch.load(result / f"{name}.pt") for name in names}


def log(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / name / "train_log.json").read_bytes())
    return content


def noted(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(folder / f"{name}.noted")
    return content


def adapter(folder: Path, name: str) -> dict[str, Tensor]:
    """Return the matrices of an adapter by PEFT's names."""
    tensors: dict[str, Tensor] = load_file(folder / name / "adapter_model.safetensors")
    return tensors


def difference(one: Tensor, other: Tensor) -> float:
    """Return the largest difference."""
    return float((one - other).abs().max())


@pytest.mark.parametrize("name", ["one", "some"])
def test_b_is_0_so_the_logits_are_exactly_those_of_the_base(folder: Path, name: str) -> None:
    found, base = noted(folder, name), LlamaForCausalLM.from_pretrained(folder / "source").eval()
    assert torch.equal(found["with"], found["without"]), "Megatron's model with and without adapters"
    with torch.no_grad():
        assert difference(found["with"], base(input_ids=prompt()).logits) < 1e-5
    assert difference(found["with"], found["trained"]) > 0.01, "and they are trained"


def test_the_count_of_trained_parameters_is_the_sum_of_8_times_in_plus_out(folder: Path) -> None:
    base = LlamaForCausalLM.from_pretrained(folder / "source")
    shapes = [weight.shape for name, weight in base.named_parameters() if name.endswith("_proj.weight")]
    assert len(shapes) == 14, "two layers of seven"
    expected = sum(8 * sum(shape) for shape in shapes)
    assert log(folder, "one")["parameters"] == noted(folder, "one")["optimized"] == expected
    assert sum(tensor.numel() for tensor in adapter(folder, "one").values()) == expected
    assert log(folder, "pipeline")["parameters"] == expected, "of both stages"


def test_single_projections_of_fused_layers_have_adapters(folder: Path) -> None:
    layers = {name.removeprefix(f"{PREFIX}model.layers.").rpartition(".lora_")[0] for name in adapter(folder, "some")}
    assert layers == {"0.self_attn.q_proj", "1.self_attn.q_proj", "1.mlp.up_proj"}


@pytest.mark.parametrize("name", ["one", "some"])
def test_losses_gradients_and_matrices_are_those_of_a_plain_loop_with_peft(
    folder: Path, peft: dict[str, dict[str, Any]], name: str
) -> None:
    curve = peft[name]["curve"]
    assert [step["loss"] for step in log(folder, name)["steps"]] == pytest.approx(curve["losses"], abs=2e-6)
    expected = {key.replace(".default", "").removeprefix(PREFIX): part for key, part in curve["gradients"].items()}
    gradients = noted(folder, name)["gradients"]
    assert gradients.keys() == expected.keys() and len(gradients) == len(adapter(folder, name))
    assert max(float(gradient.abs().max()) for gradient in gradients.values()) > 1e-2
    assert max(difference(gradients[key], part) for key, part in expected.items()) < 1e-6
    matrices = {key.replace(".default", ""): part for key, part in curve["weights"].items()}
    assert max(difference(part, matrices[key]) for key, part in adapter(folder, name).items()) < 1e-5


@pytest.mark.parametrize("name", ["one", "some"])
def test_peft_and_the_merged_model_have_the_logits_of_the_trained_model(
    folder: Path, peft: dict[str, dict[str, Any]], name: str, tmp_path: Path
) -> None:
    found, trained = peft[name], noted(folder, name)["trained"]
    assert difference(found["logits"], trained) < 1e-5
    merge_adapter(folder / "source", folder / name, tmp_path / "merged")
    merged = LlamaForCausalLM.from_pretrained(tmp_path / "merged").eval()
    with torch.no_grad():
        assert difference(merged(input_ids=prompt()).logits, trained) < 1e-5
    assert max(difference(part, found["merged"][key]) for key, part in merged.state_dict().items()) < 1e-6


def test_the_base_does_not_change_and_has_no_gradients(folder: Path) -> None:
    found, base = noted(folder, "one"), LlamaForCausalLM.from_pretrained(folder / "source").state_dict()
    assert found["have gradients"] == []
    names = {"embedding.word_embeddings": "model.embed_tokens", "output_layer": "lm_head"}
    for layer in ("layers.0", "layers.1"):
        names[f"decoder.{layer}.self_attention.linear_proj"] = f"model.{layer}.self_attn.o_proj"
        names[f"decoder.{layer}.mlp.linear_fc2"] = f"model.{layer}.mlp.down_proj"
    for own, theirs in names.items():
        assert torch.equal(found["weights"][f"{own}.weight"], base[f"{theirs}.weight"]), theirs


def test_a_killed_training_is_resumed_with_the_same_bytes(folder: Path) -> None:
    assert folder_content(folder / "killed") == folder_content(folder / "one")
    *killed, last = json.loads((folder / "results.json").read_bytes())["killed"]
    assert [attempt["statuses"] for attempt in killed] == [[-9]] * len(KILLED_AT) and last["statuses"] == [0]
    assert last_checkpoint([attempt["outputs"][0] for attempt in (*killed, last)]) == STEPS - 1
    size = sum(path.stat().st_size for path in (folder / "killed.checkpoints").rglob("*"))
    assert size < 2 * 16 * log(folder, "one")["parameters"] + 100_000, "checkpoints have no weights of the base"


@pytest.mark.parametrize("name", ["context", "tensor", "sequence", "pipeline"])
def test_a_layout_of_two_ranks_trains_the_adapter_of_one(folder: Path, name: str) -> None:
    expected, actual = adapter(folder, "one"), adapter(folder, name)
    assert expected.keys() == actual.keys()
    assert max(difference(expected[key], part) for key, part in actual.items()) < 1e-5
    for one, other in zip(log(folder, "one")["validation"], log(folder, name)["validation"], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)


def test_an_unknown_layer_is_an_error_that_names_the_layers(folder: Path) -> None:
    (attempt,) = json.loads((folder / "results.json").read_bytes())["unknown"]
    assert attempt["statuses"] == [1] and not (folder / "unknown").exists()
    assert "No linear layer of the model has the name q_prj that target_modules states." in attempt["outputs"][0]
    assert "q_proj, k_proj, v_proj" in attempt["outputs"][0]


def test_the_result_is_an_adapter_its_log_and_the_template(folder: Path) -> None:
    assert sorted(folder_content(folder / "one")) == [
        *("adapter_config.json", "adapter_model.safetensors"),
        *("prompt_template.json", "train_log.json"),
    ]
