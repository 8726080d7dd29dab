"""NeMo-1 archives: the rows of the known answers, from one process (nemo1_round_trip.py)."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tapeout.config.instructions import EncodeJob, Prompt
from tapeout.deploy.nemo1_archive import prompts_of
from tapeout.guard.context import MODEL, REFERENCES, check_context
from tapeout.guard.weights import read_index
from tapeout.models.layout import Part
from tapeout.models.weights_folder import FolderWeights
from tapeout.nemo.convert import compare_tensors
from tapeout.nemo.foreign_weights import DistributedWeights
from tests.nemo.nemo1_round_trip import CONTEXTS, MODELS, OLD, PADDING, REFUSED, TEMPLATE
from tests.nemo.process import run_program

pytestmark = [pytest.mark.environment("nemo"), pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
WHOLE = [name for name in MODELS if name != "bfloat16"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the finished process."""
    return run_program("nemo.nemo1_round_trip", tmp_path_factory)


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    """Return what the process measured."""
    answer: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return answer


@pytest.mark.parametrize("name", WHOLE)
def test_hugging_face_to_nemo_logits(results: dict[str, Any], name: str) -> None:
    found = results[name]
    assert found["spread"] > 0.3, "logits that are all alike would prove nothing"
    assert found["megatron_gpt_model"] < 1e-5
    assert found["nemo2"] < 1e-5


def test_hugging_face_to_nemo_is_read_by_nemo_aligner(results: dict[str, Any]) -> None:
    assert results["gated"]["gpt_sft_model"] < 1e-5


@pytest.mark.parametrize("name", ["tied", "untied"])
def test_hugging_face_to_nemo_orders_the_rows_by_group(folder: Path, name: str) -> None:
    weights = DistributedWeights(folder / name / "content/model_weights", "model.")
    part = Part("decoder.layers.self_attention.linear_qkv.weight", 0, (), lambda _: None, lambda _: ())
    heads = (weights.tensor(part)[::8, 0] * 100).round().int().tolist()
    assert heads == [0, 1, 10, 20, 2, 3, 11, 21]  # [q, q, k, v] of each group
    assert ("output_layer.weight" in weights.entries) == (name == "untied")


def test_hugging_face_to_nemo_twice_is_one_file(results: dict[str, Any]) -> None:
    assert results["repeated"] == results["untied"]["sha256"]


def test_the_same_sharded_is_one_file(results: dict[str, Any]) -> None:
    assert results["sharded"] == results["untied"]["sha256"]


@pytest.mark.parametrize("name", MODELS)
def test_nemo_to_hugging_face_has_the_bytes_of_the_source(folder: Path, results: dict[str, Any], name: str) -> None:
    source, again = folder / "sources" / name, folder / name / "again"
    for file in ("config.json", "model.safetensors", "tokenizer.model", "tokenizer_config.json"):
        assert (again / file).read_bytes() == (source / file).read_bytes(), file
    assert results[name]["report"]["dtype"] == ("bfloat16" if name == "bfloat16" else "float32")
    assert results[name]["report"]["padding_rows"] == (PADDING if name == "padded" else 0)
    assert not results[name]["report"]["norms_plus_one"]


@pytest.mark.parametrize(("name", "precision"), [("untied", "32"), ("bfloat16", "bf16")])
def test_an_archive_is_complete_sorted_and_without_times(folder: Path, name: str, precision: str) -> None:
    with tarfile.open(folder / name / "mcore.nemo") as archive:
        members = archive.getmembers()
        settings = yaml.safe_load(archive.extractfile("model_config.yaml") or b"")
    names = [member.name for member in members]
    assert names == sorted(names) and {member.mtime for member in members} == {0}
    assert {"model_config.yaml", "tokenizer.model", "model_weights/.metadata"} <= set(names)
    assert settings["precision"] == precision
    assert settings["data"]["train_ds"]["prompt_template"] == TEMPLATE
    assert settings["tokenizer"]["model"] == "nemo:tokenizer.model"
    assert "scale_positional_embedding" not in settings and "override_vocab_size" not in settings
    assert not any(str(folder).encode() in path.read_bytes() for path in (folder / name / "content").rglob("*.*"))


def test_an_exported_archive_has_the_licences(folder: Path, results: dict[str, Any]) -> None:
    assert results["trained gated"]["moved"] > 0
    with tarfile.open(folder / "trained" / "gated.nemo") as archive:
        texts = {name: (archive.extractfile(name) or io.BytesIO()).read() for name in ("NOTICE", "LICENSE.txt")}
    assert texts["NOTICE"].startswith(b"The vocabulary") and texts["LICENSE.txt"] == b"Apache-2.0"


@pytest.mark.parametrize("activation", OLD)
def test_gpt_2b_001_old_format_to_mcore(folder: Path, results: dict[str, Any], activation: str) -> None:
    found = results[activation]
    assert found["spread"] > 0.3
    assert found["huggingface"] < 1e-5
    assert found["mcore"] < 1e-5
    assert found["report"]["form"] == "nemo1-old"
    assert found["report"]["norms_plus_one"] == (activation != "squared-relu")


def test_the_guard_accepts_the_names_that_contexts_of_nvidia_have(folder: Path) -> None:
    contexts = [path.parents[1] for path in folder.rglob("context/io.json")]
    found = {pair for checkpoint in contexts for pair in check_context(checkpoint)}
    assert ("nemo.collections.llm.fn.activation", "squared_relu") in found
    assert {pair for pair in found if not MODEL.fullmatch(":".join(pair))} <= REFERENCES


@pytest.mark.parametrize("name", ["gated", "squared"])
def test_a_model_of_nvidia_is_trained_and_exported(folder: Path, results: dict[str, Any], name: str) -> None:
    found = results[f"trained {name}"]
    assert found["moved"] > 0.01, "the training has changed nothing"
    assert found["nemo2"] < 1e-5
    with tarfile.open(folder / f"trained/{name}.nemo") as archive:
        settings = yaml.safe_load(archive.extractfile("model_config.yaml") or b"")
    assert settings["data"]["train_ds"]["prompt_template"] == TEMPLATE
    assert settings["normalization"] == {"gated": "layernorm", "squared": "layernorm1p"}[name]


def test_the_sum_of_a_norm_is_rounded_as_in_the_original(folder: Path) -> None:
    """``layernorm1p`` adds 1 to its weight in the type of the weights; so does the import."""
    with tarfile.open(folder / "old fast-swiglu.nemo") as archive:
        archive.extractall(folder / "extracted", filter="data")
    old = torch.load(folder / "extracted/model_weights.ckpt", weights_only=True)
    new = FolderWeights(folder / "old/fast-swiglu")
    assert torch.equal(new["model.norm.weight"], old["model.language_model.encoder.final_layernorm.weight"] + 1)
    assert torch.equal(new["model.norm.bias"], old["model.language_model.encoder.final_layernorm.bias"])


def test_every_tensor_of_an_archive_is_one_of_the_model(folder: Path) -> None:
    tensors = {name for name, entry in read_index(folder / "gated/content/model_weights").items() if entry.tensor}
    assert len(tensors) == 12 and all(name.startswith("model.") for name in tensors)
    assert len(load_file(folder / "gated/again/model.safetensors")) == 12 * 2 + 5 - 3


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_an_option_that_would_be_lost_is_refused(folder: Path, results: dict[str, Any], number: int) -> None:
    assert REFUSED[number][2] in results["refused"][number]
    assert not list(folder.glob("refused*"))


@pytest.mark.parametrize("number", range(len(CONTEXTS)))
def test_the_values_of_a_nemo_2_context(results: dict[str, Any], number: int) -> None:
    """NVIDIA's classes of published models have the dimensions of ``config/models``; what would be lost is refused."""
    expected, found = CONTEXTS[number][3], results["contexts"][number]
    published = ROOT / f"config/models/{expected}.yaml"
    if published.is_file():
        expected = yaml.safe_load(published.read_text())["base"]["architecture"]
        expected.pop("params_dtype")  # that of the weights
    if isinstance(expected, str):
        assert expected in found
    else:
        assert {name: found[name] for name in expected} == expected


def test_a_nemo_2_checkpoint_of_our_own_is_imported(folder: Path, results: dict[str, Any]) -> None:
    assert results["nemo2"]["form"] == "nemo2"
    compare_tensors(FolderWeights(folder / "sources/llama3"), FolderWeights(folder / "from nemo2"))


def test_a_model_of_another_family_is_refused(results: dict[str, Any]) -> None:
    gated, llama = results["other families"]
    assert "has activation 'squared-relu', and models of the chosen family have 'fast-swiglu'" in gated
    assert "The model is not one of Hugging Face's type nemotron" in llama


def test_prompts_are_stored_as_nemo_aligner_does() -> None:
    encoding = EncodeJob(prompt=Prompt(), chat_template=None, template=TEMPLATE, seq_length=64)
    assert prompts_of(encoding, {"question"}).template == TEMPLATE
    assert prompts_of(encoding, {"question"}).chat_tokens is None
    chat = prompts_of(encoding, {"conversation", "question"})
    assert chat.template.startswith("\0System\n{system message}\n\x11User\n")
    assert chat.chat_tokens == {
        "system_turn_start": "\0",
        "turn_start": "\x11",
        "label_start": "\x12",
        "end_of_turn": "\n",
        "end_of_name": "\n",
    }
