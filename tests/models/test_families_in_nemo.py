"""Every family: a random model goes to NeMo-2, is trained and goes back, with equal tensors, configuration and logits.

One process imports and trains all models (families_in_nemo.py), each test reads a result.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tapeout.deploy.huggingface import fixed_tokens
from tapeout.guard.context import MODEL, REFERENCES, check_context
from tapeout.models.family import family_of
from tapeout.models.huggingface import checked_config, load_huggingface
from tapeout.models.weights_folder import FolderWeights
from tapeout.nemo.checkpoint import CheckpointWeights, checkpoint_config, load_model
from tapeout.nemo.convert import compare_tensors, export_weights
from tests.models.families_in_nemo import MODELS, POSITIONS, ROWS
from tests.nemo.process import run_program

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the finished imports."""
    return run_program("models.families_in_nemo", tmp_path_factory)


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    """Return what the process measured."""
    answer: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return answer


@pytest.mark.parametrize("state", ["imported", "trained"])
@pytest.mark.parametrize("name", MODELS)
def test_nemo_and_transformers_compute_the_same_logits(results: dict[str, Any], name: str, state: str) -> None:
    assert results[name][state]["difference"] < 1e-5 < 0.5 < results[name][state]["largest"]


@pytest.mark.parametrize("name", MODELS)
def test_the_first_loss_of_a_training_is_that_of_transformers(results: dict[str, Any], name: str) -> None:
    first, second = results[name]["losses"]
    assert first == pytest.approx(results[name]["loss"], abs=1e-5)
    assert abs(second - first) > 1e-3
    assert results[name]["parameters"][0] == results[name]["parameters"][1]


@pytest.mark.parametrize("name", MODELS)
def test_tensors_and_configuration_come_back(folder: Path, tmp_path: Path, name: str) -> None:
    source, exported = folder / name / "source", tmp_path / "exported"
    export_weights(folder / name / "nemo", exported)
    compare_tensors(FolderWeights(source), FolderWeights(exported))
    given, actual = (json.loads((model / "config.json").read_bytes()) for model in (source, exported))
    assert given.items() <= actual.items()


@pytest.mark.parametrize("name", MODELS)
def test_the_context_states_the_type_of_the_weights(results: dict[str, Any], folder: Path, name: str) -> None:
    """A training with precision 32 writes 32-bit floats, whatever it starts from."""
    stated = MODELS[name][1].get("params_dtype", "float32")
    assert results[name]["types"] == [f"torch.{stated}", "torch.float32"]
    for state, dtype in (("nemo", stated), ("trained", "float32")):
        weights = CheckpointWeights(folder / name / state)
        config = yaml.safe_load((folder / name / state / "context/model.yaml").read_text())["config"]
        assert {weights[tensor].dtype for tensor in weights} == {getattr(torch, dtype)}
        assert config["params_dtype"]["_target_"] == f"torch.{dtype}"
        assert (config["bf16"], config["fp16"]) == (dtype == "bfloat16", dtype == "float16")
        assert str(checkpoint_config(folder / name / state).torch_dtype).endswith(dtype)


@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_is_loaded_without_nemo(folder: Path, name: str) -> None:
    ids = fixed_tokens(ROWS, POSITIONS)
    with torch.no_grad():
        expected = load_huggingface(folder / name / "source")(ids).logits
        assert torch.equal(load_model(folder / name / "nemo")(ids).logits, expected)


@pytest.mark.parametrize("name", MODELS)
def test_the_parameter_count_is_that_of_transformers(folder: Path, name: str) -> None:
    source = folder / name / "source"
    family, config = family_of(source), checked_config(source)
    assert family.architecture_of(config).parameter_count(ROWS) == load_huggingface(source).num_parameters()


@pytest.mark.parametrize("name", [name for name in MODELS if "scaled" in name])
def test_logits_beyond_the_original_context_differ_without_scaling(folder: Path, name: str) -> None:
    """Known answer of the row "Llama 3"."""
    model, ids = load_huggingface(folder / name / "source"), fixed_tokens(ROWS, POSITIONS)
    config = checked_config(folder / name / "source")
    config.rope_scaling = None
    plain = type(model)(config).float().eval()
    plain.load_state_dict(model.state_dict())
    with torch.no_grad():
        difference = (model(ids).logits - plain(ids).logits).abs().amax(-1)[0]
    assert difference[0] == 0 and difference[-50:].min() > 1e-2


def test_the_guard_accepts_the_names_that_our_contexts_have_and_no_others(folder: Path) -> None:
    """Those of NVIDIA's GPT are in tests/nemo/test_nemo1.py."""
    found = {pair for name in MODELS for kind in ("nemo", "trained") for pair in check_context(folder / name / kind)}
    models = {pair for pair in found if MODEL.fullmatch(":".join(pair))}
    assert found - models == REFERENCES - {("nemo.collections.llm.fn.activation", "squared_relu")}
    configs = {"LlamaConfig", "Llama31Config", "MistralConfig7B", "Qwen2Config", "Qwen3Config"}
    assert {name for _, name in models} == configs | {"LlamaModel", "MistralModel", "Qwen2Model", "Qwen3Model"}
