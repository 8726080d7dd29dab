"""Read any of our models without NeMo, Hugging Face folders and NeMo-2 checkpoint folders alike, in a second or two.

The weights of a NeMo-2 checkpoint are a plain PyTorch distributed checkpoint; only names and layouts differ from those
of Hugging Face. Megatron keeps one tensor per kind of weight for all layers, interleaves query, key and value rows per
query group, and joins gate and up projection. Equality with NeMo's own exporter is tested bit by bit.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import FileSystemReader, load
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from transformers import LlamaConfig, LlamaForCausalLM

from tapeout.errors import TapeoutError

LAYERS = "decoder.layers."
PLAIN = {
    "embedding.word_embeddings.weight": "model.embed_tokens.weight",
    "decoder.final_layernorm.weight": "model.norm.weight",
    "output_layer.weight": "lm_head.weight",
}
PER_LAYER = {
    "self_attention.linear_qkv.layer_norm_weight": "input_layernorm.weight",
    "self_attention.linear_proj.weight": "self_attn.o_proj.weight",
    "mlp.linear_fc1.layer_norm_weight": "post_attention_layernorm.weight",
    "mlp.linear_fc2.weight": "mlp.down_proj.weight",
}


class UnreadableModel(TapeoutError):
    """A folder that is no model of ours."""


def load_llama(path: Path) -> LlamaForCausalLM:
    """The model in ``path`` (Hugging Face folder or NeMo-2 checkpoint folder) in fp32, in evaluation mode.

    Raises:
        UnreadableModel: the folder is neither, or its tensors do not fit its configuration.
    """
    if (path / "config.json").is_file():
        model = LlamaForCausalLM.from_pretrained(path, torch_dtype=torch.float32, local_files_only=True)
        return model.eval()
    config = huggingface_config(path)
    model = LlamaForCausalLM(config)
    try:
        model.load_state_dict(huggingface_weights(checkpoint_tensors(path), config))
    except (KeyError, RuntimeError) as error:
        raise UnreadableModel(
            f"The weights in {path} do not fit its configuration: {error}.", "Build it again."
        ) from error
    return model.eval()


def tokenizer_path(path: Path) -> Path:
    """The SentencePiece model inside ``path``, whichever kind of model folder that is."""
    for place in ("tokenizer.model", "context/nemo_tokenizer/tokenizer.model"):
        if (path / place).is_file():
            return path / place
    raise UnreadableModel(f"There is no tokenizer.model in {path}.", "Give a model folder that one of the rules made.")


def checkpoint_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a NeMo-2 checkpoint by Megatron's names, without the prefix ``module.``."""
    reader = FileSystemReader(path / "weights")
    tensors = {
        name: torch.empty(entry.size, dtype=entry.properties.dtype)
        for name, entry in sorted(reader.read_metadata().state_dict_metadata.items())
        if isinstance(entry, TensorStorageMetadata) and name.startswith("module.")
    }
    load(tensors, storage_reader=reader, no_dist=True)
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def huggingface_weights(tensors: dict[str, torch.Tensor], config: LlamaConfig) -> dict[str, torch.Tensor]:
    """Rename and split Megatron's tensors into a Hugging Face Llama state dict.

    Args:
        tensors: by Megatron's names; those of layers have the layer as first dimension.
        config: gives heads, query groups and their size.
    """
    weights = {PLAIN[name]: tensor for name, tensor in tensors.items() if name in PLAIN}
    for name, stacked in tensors.items():
        if not name.startswith(LAYERS):
            continue
        kind = name.removeprefix(LAYERS)
        for layer, tensor in enumerate(stacked):
            prefix = f"model.layers.{layer}."
            if kind in PER_LAYER:
                weights[prefix + PER_LAYER[kind]] = tensor
            elif kind == "mlp.linear_fc1.weight":
                gate, up = tensor.chunk(2)
                weights |= {prefix + "mlp.gate_proj.weight": gate, prefix + "mlp.up_proj.weight": up}
            elif kind == "self_attention.linear_qkv.weight":
                weights |= {
                    prefix + f"self_attn.{part}_proj.weight": w for part, w in _split_qkv(tensor, config).items()
                }
            else:
                raise KeyError(name)
    return weights


def _split_qkv(tensor: torch.Tensor, config: LlamaConfig) -> dict[str, torch.Tensor]:
    """Cut Megatron's fused projection: [q..q, k, v] per query group, each head ``head_dim`` rows of ``hidden_size``."""
    groups, size, hidden = config.num_key_value_heads, config.head_dim, config.hidden_size
    per_group = config.num_attention_heads // groups
    rows = tensor.view(groups, per_group + 2, size, hidden)
    return {
        "q": rows[:, :per_group].reshape(-1, hidden),
        "k": rows[:, per_group].reshape(-1, hidden),
        "v": rows[:, per_group + 1].reshape(-1, hidden),
    }


def huggingface_config(path: Path) -> LlamaConfig:
    """The Hugging Face configuration that NeMo's exporter would write, from the checkpoint's context."""
    context = path / "context" / "io.json"
    if not context.is_file():
        raise UnreadableModel(
            f"{path} is no model folder.", "Give a Hugging Face folder or a NeMo-2 checkpoint folder."
        )
    given = _arguments(json.loads(context.read_text()), "llama_config_1")
    return LlamaConfig(
        vocab_size=given["vocab_size"],
        hidden_size=given["hidden_size"],
        intermediate_size=given["ffn_hidden_size"],
        num_hidden_layers=given["num_layers"],
        num_attention_heads=given["num_attention_heads"],
        num_key_value_heads=given["num_query_groups"],
        head_dim=given["kv_channels"] or given["hidden_size"] // given["num_attention_heads"],
        max_position_embeddings=given["seq_length"],
        rms_norm_eps=given["layernorm_epsilon"],
        rope_theta=given["rotary_base"],
        initializer_range=given["init_method_std"],
        tie_word_embeddings=given["share_embeddings_and_output_weights"],
        bos_token_id=1,
        eos_token_id=2,
    )


def _arguments(context: dict[str, Any], key: str) -> dict[str, Any]:
    """Constructor arguments with plain values that the context recorded for one object."""
    if key not in context.get("objects", {}):
        raise UnreadableModel("The checkpoint's context describes no Llama.", "Only Llama checkpoints can be read.")
    items = context["objects"][key]["items"]
    return {name.split("'")[1]: value["value"] for name, value in items if value.get("type") == "leaf"}
