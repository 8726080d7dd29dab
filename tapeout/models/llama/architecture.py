"""The tiny Llama and its folder in Hugging Face layout."""

import json
import shutil
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tapeout.config.base import Base
from tapeout.encoder.load import load_encoder

TOKENIZER_CONFIG = {
    "tokenizer_class": "LlamaTokenizer",
    "legacy": False,
    "add_bos_token": True,
    "add_eos_token": False,
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "clean_up_tokenization_spaces": False,
    "sp_model_kwargs": {},
}


def llama_config(job: Base, vocabulary: int, bos: int | None, eos: int) -> LlamaConfig:
    """Configuration of a Llama with separate input and output rows, in 32-bit floats."""
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=job.hidden,
        intermediate_size=job.feed_forward,
        num_hidden_layers=job.layers,
        num_attention_heads=job.heads,
        num_key_value_heads=job.key_value_heads,
        max_position_embeddings=job.sequence,
        rope_theta=job.rope_theta,
        rms_norm_eps=job.norm_epsilon,
        initializer_range=job.initial_deviation,
        tie_word_embeddings=False,
        bos_token_id=bos,
        eos_token_id=eos,
        torch_dtype=torch.float32,
        use_cache=True,
    )


def save(model: LlamaForCausalLM, tokenizer: Path, output: Path) -> None:
    """Write model and tokenizer into a new folder.

    The slow tokenizer is named on purpose: the fast one cuts RTL otherwise than SentencePiece does (D2).
    """
    model.config._name_or_path = ""
    model.save_pretrained(output, safe_serialization=True)
    shutil.copyfile(tokenizer, output / "tokenizer.model")
    settings = TOKENIZER_CONFIG | {"model_max_length": model.config.max_position_embeddings}
    (output / "model.safetensors").chmod(0o644)
    (output / "tokenizer_config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")


def new_llama(job: Base, tokenizer: Path) -> LlamaForCausalLM:
    """A model with initial weights drawn from the seed."""
    encoder = load_encoder(tokenizer)
    torch.manual_seed(job.seed)
    return LlamaForCausalLM(llama_config(job, encoder.size, encoder.bos, encoder.eos))


def load(folder: Path) -> LlamaForCausalLM:
    """A model from its folder, in 32-bit floats."""
    model: LlamaForCausalLM = LlamaForCausalLM.from_pretrained(folder, torch_dtype=torch.float32, local_files_only=True)
    return model
