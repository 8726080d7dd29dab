"""A model with an option that import, training, evaluation or export would lose is refused before any work."""

import json
from pathlib import Path
from typing import Any

import pytest

from tapeout.models.carried import check_carried
from tapeout.models.family import load_family
from tapeout.models.huggingface import checked_config, load_huggingface
from tapeout.models.llama import Architecture, huggingface_config
from tapeout.models.tokenizer_file import UnusableModel
from tapeout.nemo.convert import import_checkpoint
from tests.tokenizer.material import BASE
from tests.toys import toy_family

pytestmark = pytest.mark.environment("nemo")

LOST: list[tuple[str, Any]] = [
    ("rope_scaling", {"rope_type": "linear", "factor": 2.0}),
    ("rope_scaling", {"type": "dynamic", "factor": 4.0}),
    ("attention_bias", True),
    ("mlp_bias", True),
    ("hidden_act", "gelu"),
    ("attention_dropout", 0.1),
    ("sliding_window", 4096),
    ("partial_rotary_factor", 0.5),
    ("quantization_config", {"quant_method": "gptq", "bits": 4}),
    ("architectures", ["LlamaForSequenceClassification"]),
    ("pretraining_tp", 2),
    ("logit_scale", 0.25),
    ("rope_interleaved", True),
]
LLAMA_3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}
KEPT: dict[str, Any] = {
    "tie_word_embeddings": True,
    "rope_scaling": LLAMA_3,
    "head_dim": 64,
    "torch_dtype": "bfloat16",
    "pad_token_id": 0,
    "eos_token_id": [2, 5],
    "rope_theta": 500_000.0,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 8192,
    "initializer_range": 0.1,
}


def llama_folder(folder: Path, **options: Any) -> Path:
    """Write a folder that has a configuration and a tokenizer, but no weights."""
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.model").write_bytes(BASE)
    config = huggingface_config(Architecture(), 500, bos_token_id=1, eos_token_id=2, pad_token_id=None).to_dict()
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["LlamaForCausalLM"], **options}))
    return folder


@pytest.mark.parametrize(("name", "value"), LOST)
def test_an_option_that_would_be_lost_is_named(tmp_path: Path, name: str, value: Any) -> None:
    folder = llama_folder(tmp_path, **{name: value})
    for read in (checked_config, load_huggingface):
        with pytest.raises(UnusableModel) as refusal:
            read(folder)
        assert f"has {name} " in refusal.value.cause


@pytest.mark.parametrize(
    ("family", "name", "value"),
    [
        ("mistral", "sliding_window", 4096),
        ("mistral", "rope_scaling", LLAMA_3),
        ("qwen2", "use_sliding_window", True),
        ("qwen2", "rope_scaling", {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}),
        ("qwen2", "num_experts", 8),
        ("qwen3", "attention_bias", True),
        ("qwen3", "quantization_config", {"quant_method": "awq", "bits": 4}),
    ],
)
def test_options_of_other_families_that_would_be_lost(tmp_path: Path, family: str, name: str, value: Any) -> None:
    module = load_family(family)
    config = module.huggingface_config(module.Architecture(), 500, bos_token_id=1, eos_token_id=2, pad_token_id=None)
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict() | {"model_type": module.MODEL_TYPE}))
    assert checked_config(tmp_path).vocab_size == 500
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict() | {name: value}))
    with pytest.raises(UnusableModel, match=f"has {name} "):
        checked_config(tmp_path)


@pytest.mark.parametrize("name", KEPT)
def test_options_that_are_kept_may_have_any_value(tmp_path: Path, name: str) -> None:
    config = checked_config(llama_folder(tmp_path, **{name: KEPT[name]}))
    assert config.to_dict()[name] == KEPT[name]


def test_fields_without_effect_are_accepted(tmp_path: Path) -> None:
    inert = {"sliding_window": None, "use_cache": False, "is_llama_config": True, "rope_interleaved": False}
    checked_config(llama_folder(tmp_path, **inert, torch_dtype=None, architectures=None))


@pytest.mark.parametrize(("name", "value"), [("head_dim", 7), ("torch_dtype", "float64"), ("num_key_value_heads", 3)])
def test_a_value_that_no_architecture_has_is_named(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(UnusableModel, match=str(value)):
        checked_config(llama_folder(tmp_path, **{name: value}))


@pytest.mark.parametrize(("name", "value"), [("vocab_size", 99), ("bos_token_id", 5), ("eos_token_id", [3, 4])])
def test_rows_and_ids_must_include_those_of_the_tokenizer(tmp_path: Path, name: str, value: Any) -> None:
    with pytest.raises(UnusableModel, match=f"has {name} "):
        import_checkpoint(llama_folder(tmp_path / "source", **{name: value}), tmp_path / "output", tmp_path)
    assert not (tmp_path / "output").exists()


def test_a_family_without_tied_embeddings_refuses_them() -> None:
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": None}
    config = toy_family.huggingface_config(toy_family.Architecture(), 300, **ids)
    check_carried(config, toy_family)
    config.tie_word_embeddings = True  # the default of its library
    with pytest.raises(UnusableModel, match="has tie_word_embeddings True"):
        check_carried(config, toy_family)


def test_a_configuration_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    folder = llama_folder(tmp_path, rope_scaling={"factor": 2.0})
    with pytest.raises(UnusableModel, match=r"config\.json cannot be read|has rope_scaling"):
        checked_config(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    with pytest.raises(UnusableModel, match="mamba"):
        checked_config(folder)
