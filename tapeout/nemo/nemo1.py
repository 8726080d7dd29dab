"""NeMo-1 archives (``.nemo``) of Megatron-core models, the format of NeMo-Aligner.

An archive is a tar file with ``model_config.yaml``, the weights as a distributed checkpoint (``model_weights/``), and
the tokenizer. The weights are those of a NeMo-2 checkpoint under other names (``model.`` instead of ``module.``), so
writing one copies files and needs little memory. NVIDIA's own archives differ at every save; these depend on the model
only.
"""

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from tapeout.encoder.load import load_encoder
from tapeout.guard.context import check_context
from tapeout.guard.errors import UnusableModel
from tapeout.guard.folders import check_checkpoint
from tapeout.guard.weights import read_metadata
from tapeout.models.carried import special_ids
from tapeout.models.tokenizer_file import tokenizer_path
from tapeout.nemo.archive import pack
from tapeout.nemo.canonical import write_metadata
from tapeout.nemo.checkpoint import checkpoint_config

CONFIG, WEIGHTS, TOKENIZER = "model_config.yaml", "model_weights", "tokenizer.model"
TARGET = "nemo.collections.nlp.models.language_modeling.megatron_gpt_model.MegatronGPTModel"
VERSION = "2.4.1"
"""The last version of NeMo that reads these archives."""
IN_NEMO_2, IN_NEMO_1 = "module.", "model."
"""Beginning of the names of weights."""
PRECISION = {torch.float32: "32", torch.bfloat16: "bf16", torch.float16: "16"}
SIZES = {
    "num_layers": "num_layers",
    "hidden_size": "hidden_size",
    "ffn_hidden_size": "ffn_hidden_size",
    "num_attention_heads": "num_attention_heads",
    "num_query_groups": "num_query_groups",
    "kv_channels": "kv_channels",
    "encoder_seq_length": "seq_length",
    "max_position_embeddings": "seq_length",
    "rotary_percentage": "rotary_percent",
    "rotary_base": "rotary_base",
    "layernorm_epsilon": "layernorm_epsilon",
    "init_method_std": "init_method_std",
    "share_embeddings_and_output_weights": "share_embeddings_and_output_weights",
    "make_vocab_size_divisible_by": "make_vocab_size_divisible_by",
    "position_embedding_type": "position_embedding_type",
    "bias": "add_bias_linear",
    "qkv_bias": "add_qkv_bias",
}
"""NeMo-2's name of each option of a NeMo-1 configuration that has the same values."""
SCALING = ("scale_factor", "low_freq_factor", "high_freq_factor", "old_context_len")
"""Options of the scaled rotary positions of Llama 3.1, in NeMo-1 and in NeMo-2."""
RUNTIME: dict[str, Any] = {
    **{"mcore_gpt": True, "target": TARGET, "nemo_version": VERSION, "name": ""},
    **{"micro_batch_size": 1, "global_batch_size": 1, "seed": 1234, "megatron_amp_O2": False},
    **{"tensor_model_parallel_size": 1, "pipeline_model_parallel_size": 1, "sequence_parallel": False},
    **{"virtual_pipeline_model_parallel_size": None, "use_cpu_initialization": False, "transformer_engine": True},
    **{"dist_ckpt_format": "torch_dist", "dist_ckpt_parallel_save": True},
    **{"hidden_dropout": 0.0, "attention_dropout": 0.0, "ffn_dropout": 0.0, "transformer_block_type": "pre_ln"},
    **{"apply_query_key_layer_scaling": False, "normalize_attention_scores": True, "use_scaled_init_method": True},
    **{"persist_layer_norm": True, "bias_activation_fusion": False, "bias_dropout_add_fusion": False},
    **{"masked_softmax_fusion": True, "get_attention_mask_from_fusion": True, "apply_rope_fusion": True},
    **{"gradient_accumulation_fusion": False, "fp32_residual_connection": False, "do_layer_norm_weight_decay": False},
    "optim": {"name": "fused_adam", "lr": 5e-6, "weight_decay": 0.1, "betas": [0.9, 0.95]},
}
"""Options that a training sets again, with values that are valid on one GPU."""


@dataclass(frozen=True)
class Prompts:
    """How the model was prompted in its training.

    Attributes:
        template: of one prompt with its answer, as NeMo-Aligner stores it with a model.
        chat_tokens: NeMo-Aligner's ``chat_prompt_tokens``; None for a model that was not trained on conversations.
    """

    template: str
    chat_tokens: Mapping[str, str] | None = None


def write_archive(checkpoint: Path, archive: Path, prompts: Prompts, workplace: Path) -> None:
    """Write a NeMo-2 checkpoint folder as a NeMo-1 archive; equal models give equal bytes.

    Call ``tapeout.nemo.process.prepare`` first.

    Args:
        checkpoint: a canonical NeMo-2 checkpoint folder.
        archive: new file.
        prompts: prompts of the training.
        workplace: folder for the content of the archive; files that it has go into the archive.

    Raises:
        UnusableModel: NeMo-1 does not have this architecture or this kind of tokenizer, or the checkpoint is unsafe.
    """
    import nemo.lightning as nl

    check_checkpoint(checkpoint)
    tokenizer = tokenizer_path(checkpoint)
    if tokenizer.name != TOKENIZER:
        raise UnusableModel(
            f"A NeMo-1 archive cannot contain the byte-level tokenizer {tokenizer.name}: NeMo-1 reads such a tokenizer "
            "only by the name of a model on the hub.",
            "Use export/hf or the NeMo-2 checkpoint for this model.",
        )
    check_context(checkpoint)
    settings = {**RUNTIME, **settings_of(nl.io.load_context(checkpoint, subpath="model.config"))}
    config, multiple = checkpoint_config(checkpoint), settings["make_vocab_size_divisible_by"]
    settings["special_ids"] = special_ids(config)
    if math.ceil(load_encoder(tokenizer).size / multiple) * multiple != config.vocab_size:
        settings["override_vocab_size"] = config.vocab_size  # otherwise NeMo pads for the ranks that share a matrix
    settings["tokenizer"] = {
        **{"library": "sentencepiece", "type": None, "model": f"nemo:{TOKENIZER}", "sentencepiece_legacy": False},
        **{"vocab_file": None, "merge_file": None, "delimiter": None},
    }
    settings["data"] = {
        "chat": prompts.chat_tokens is not None,
        "train_ds": {"prompt_template": prompts.template, "label_key": "output", "truncation_field": "input"},
        **({} if prompts.chat_tokens is None else {"chat_prompt_tokens": dict(prompts.chat_tokens)}),
    }
    (workplace / CONFIG).write_text(yaml.safe_dump(settings, sort_keys=True, allow_unicode=False), encoding="utf-8")
    shutil.copyfile(tokenizer, workplace / TOKENIZER)
    _copy_weights(checkpoint / "weights", workplace / WEIGHTS)
    pack(workplace, archive)


def settings_of(config: Any) -> dict[str, Any]:
    """Return the options of a NeMo-1 configuration that decide what a model computes, from NeMo-2's.

    Raises:
        UnusableModel: NeMo-1 has no option for something in the configuration.
    """
    activation = {
        (True, "silu"): "fast-swiglu",
        (False, "squared_relu"): "squared-relu",
    }.get((config.gated_linear_unit, config.activation_func.__name__))
    normalization = {
        ("RMSNorm", False): "rmsnorm",
        ("LayerNorm", False): "layernorm",
        ("LayerNorm", True): "layernorm1p",
    }.get((config.normalization, config.layernorm_zero_centered_gamma))
    if activation is None or normalization is None or config.qk_layernorm:
        raise UnusableModel(
            f"NeMo-1 does not have this architecture ({type(config).__name__}): its activation, its norms, or norms of "
            "queries and keys.",
            "Use export/hf or the NeMo-2 checkpoint for this model.",
        )
    scaling = {name: getattr(config, name) for name in SCALING if hasattr(config, name)}
    return {
        **{name: getattr(config, option) for name, option in SIZES.items()},
        **({"scale_positional_embedding": True, **scaling} if scaling else {}),
        "activation": activation,
        "normalization": normalization,
        "precision": PRECISION[config.params_dtype],
    }


def _copy_weights(source: Path, target: Path) -> None:
    """Copy the weights of a NeMo-2 checkpoint and rename them in the index, the only file that has names."""
    target.mkdir()
    for path in sorted(source.glob("*.distcp")):
        shutil.copyfile(path, target / path.name)
    shutil.copyfile(source / "metadata.json", target / "metadata.json")
    torch.save({}, target / "common.pt")
    metadata: Any = read_metadata(source / ".metadata")
    metadata.state_dict_metadata = {_renamed(name): entry for name, entry in metadata.state_dict_metadata.items()}
    metadata.storage_data = {
        replace(index, fqn=_renamed(index.fqn)): location for index, location in metadata.storage_data.items()
    }
    metadata.mcore_data = {_renamed(name): entry for name, entry in metadata.mcore_data.items()}
    write_metadata(metadata, target / ".metadata")


def _renamed(name: str) -> str:
    return IN_NEMO_1 + name.removeprefix(IN_NEMO_2)
