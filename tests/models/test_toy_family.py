"""A model of a family from outside of the package is created, trained, extended, saved and loaded."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint import save

from tapeout import plugins
from tapeout.config.base import BaseExtended
from tapeout.config.bases.tiny import Base
from tapeout.encoder.vocabulary import extend
from tapeout.models.base_training import read_documents, train
from tapeout.models.extend import extend_model
from tapeout.models.family import load_family
from tapeout.models.huggingface import new_model, save_model
from tapeout.models.tokenizer_file import UnusableModel
from tapeout.nemo.checkpoint import load_model
from tests.tokenizer.material import BASE, PROSE

pytestmark = pytest.mark.environment("nemo")

JOB = Base(
    family="tests.toys.toy_family",
    architecture={"width": 16, "seq_length": 16},
    max_steps=12,
    global_batch_size=2,
    warmup_steps=3,
)


@pytest.fixture(autouse=True)
def declared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Declare the toy, as a rule does by its plugins."""
    monkeypatch.setenv(plugins.VARIABLE, JOB.family_module)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """Return the path of a small tokenizer."""
    path = tmp_path / "base.model"
    path.write_bytes(BASE)
    return path


def test_the_parameter_count_is_that_of_the_model(tokenizer: Path) -> None:
    model = new_model(JOB, tokenizer)
    assert model.num_parameters() == JOB.architecture.parameter_count(model.config.vocab_size)


def test_a_trained_and_extended_model_is_saved_and_loaded(tmp_path: Path, tokenizer: Path) -> None:
    (tmp_path / "train.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in PROSE[:3] * 2))
    model, family = new_model(JOB, tokenizer), load_family(JOB.family)
    log = train(model, read_documents(tmp_path / "train.jsonl", tokenizer), JOB)
    assert log["steps"][-1]["loss"] < log["steps"][0]["loss"]
    save_model(model, family, tokenizer, tmp_path / "base")
    longer = tmp_path / "tokenizer.model"
    longer.write_bytes(extend(BASE, ["always"]))
    report = extend_model(tmp_path / "base", longer, BaseExtended(), tmp_path / "extended")
    loaded = load_model(tmp_path / "extended")
    assert report["rows_after"] == loaded.config.vocab_size == model.config.vocab_size + 1
    rows = {"transformer.wte.weight", "lm_head.weight"}
    for name, tensor in model.state_dict().items():
        actual = loaded.state_dict()[name]
        assert torch.equal(actual[:-1] if name in rows else actual, tensor), name


def test_a_nemo_checkpoint_is_read(tmp_path: Path, tokenizer: Path) -> None:
    model = new_model(JOB, tokenizer)
    weights = {f"module.gpt.{name}": tensor for name, tensor in model.state_dict().items()}
    save(weights, checkpoint_id=tmp_path / "model/weights", no_dist=True)
    (tmp_path / "model/context/nemo_tokenizer").mkdir(parents=True)
    (tmp_path / "model/context/nemo_tokenizer/tokenizer.model").write_bytes(BASE)
    arguments = {"width": 16, "seq_length": 16, "vocab_size": model.config.vocab_size}
    (tmp_path / "model/context/io.json").write_text(json.dumps(context("ToyConfig", arguments)))
    for name, tensor in load_model(tmp_path / "model").state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name


def context(class_name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a context as NeMo writes it, with one object."""
    items = [[f"Attr(name='{name}')", {"type": "leaf", "value": value}] for name, value in arguments.items()]
    made_by = [["Attr(name='fn_or_cls')", {"module": "toy", "name": class_name, "type": "pyref"}]]
    return {
        "objects": {
            "toy_1": {"items": items, "metadata": {"key": "toy_2", "type": "ref"}, "type": {"name": "Config"}},
            "toy_2": {"items": made_by, "metadata": None, "type": {"name": "BuildableTraverserMetadata"}},
        }
    }


def test_a_family_that_the_step_does_not_declare_is_not_found(
    tmp_path: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(new_model(JOB, tokenizer), load_family(JOB.family), tokenizer, tmp_path / "base")
    monkeypatch.setenv(plugins.VARIABLE, "tapeout.models.llama")
    with pytest.raises(UnusableModel, match="gpt2"):
        load_model(tmp_path / "base")
