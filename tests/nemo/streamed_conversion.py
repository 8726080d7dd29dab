"""One process that converts tiny models with our code and with NeMo's own; test_streamed_conversion.py compares.

Heads of the models are constant: row ``r`` of query head ``h`` holds the number ``h + 1``, of key head ``h`` -(h + 1),
and of value head ``h`` ``h + 101``, so that the order of rows in Megatron's fused projection is known in advance.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaTokenizer

from tests.nemo.tiny_model import PIECES, tokenizer_model

SIZES = {
    "vocab_size": PIECES,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
SCALED = {
    **SIZES,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 16384,
    "rope_theta": 500_000.0,
    "initializer_range": 0.1,  # with smaller weights attention is nearly uniform, wherever the tokens are
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}
LENGTH = 9001
"""Tokens of the sequence whose logits are compared: more than the original context."""


def random_model(folder: Path, options: dict[str, Any], dtype: torch.dtype, shard: int | str = "5GB") -> Path:
    """Write a Hugging Face folder with a tokenizer, whose norms are not all 1."""
    folder.mkdir(parents=True)
    (folder / "tokenizer.model").write_bytes(tokenizer_model())
    LlamaTokenizer(str(folder / "tokenizer.model"), legacy=False).save_pretrained(folder)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**options, tie_word_embeddings=dtype == torch.bfloat16))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    return folder


def constant_heads(model: Path) -> None:
    """Overwrite the projections of queries, keys and values as described above."""
    loaded = LlamaForCausalLM.from_pretrained(model)
    size = loaded.config.head_dim
    with torch.no_grad():
        for layer in loaded.model.layers:
            for part, sign, start in (("q", 1, 1), ("k", -1, 1), ("v", 1, 101)):
                weight = getattr(layer.self_attn, f"{part}_proj").weight
                numbers = sign * (torch.arange(len(weight)) // size + start)
                weight.copy_(numbers[:, None].expand_as(weight))
    loaded.save_pretrained(model)


def main(folder: Path) -> None:
    """Convert the models there and back, and write what was measured to ``results.json``."""
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from nemo.collections import llm
    from nemo.collections.llm.gpt.model.llama import HFLlamaImporter

    from tapeout.deploy.huggingface import fixed_tokens, nemo_logits
    from tapeout.models.huggingface import load_huggingface
    from tapeout.nemo.canonical import canonicalize
    from tapeout.nemo.convert import export_weights, import_checkpoint

    plain = random_model(folder / "plain", SIZES, torch.float32)
    constant_heads(plain)
    sharded = folder / "sharded"
    random_model(sharded, SIZES, torch.float32)
    (sharded / "model.safetensors").unlink()
    LlamaForCausalLM.from_pretrained(plain).save_pretrained(sharded, max_shard_size=80_000)
    random_model(folder / "tied", SIZES, torch.bfloat16)
    random_model(folder / "scaled", SCALED, torch.float32)
    for name in ("plain", "sharded", "tied", "scaled"):
        import_checkpoint(folder / name, folder / "imported" / name, folder)
        export_weights(folder / "imported" / name, folder / "exported" / name)
    export_weights(folder / "imported/plain", folder / "exported/small files", max_shard_bytes=20_000)

    class NeMosImporter(HFLlamaImporter):  # type: ignore[misc]
        """NeMo's own, which fails if the norms, 32-bit floats without Transformer Engine, lack the model's type."""

        def nemo_setup(self, model: Any, trainer: Any = None) -> Any:
            trainer = super().nemo_setup(model, trainer)
            model.module.to(model.config.params_dtype)
            return trainer

    for name in ("plain", "tied"):
        NeMosImporter(folder / name)(output_path=folder / "by nemo" / name)
        canonicalize(folder / "by nemo" / name, forbidden=[folder])
    llm.export_ckpt(path=folder / "by nemo/plain", target="hf", output_path=folder / "exported by nemo")

    ids = fixed_tokens(PIECES, LENGTH)
    source = load_huggingface(folder / "scaled")
    with torch.no_grad():
        expected = source(ids).logits[0]
        nemo = nemo_logits(folder / "imported/scaled", ids)[0]
        exported = load_huggingface(folder / "exported/scaled")(ids).logits[0]
        source.config.rope_scaling = None
        unscaled = LlamaForCausalLM(source.config)
        unscaled.load_state_dict(source.state_dict())
        lost = unscaled.eval()(ids).logits[0]
    positions = (300, LENGTH - 1)
    results = {
        "nemo": [float((nemo[at] - expected[at]).abs().max()) for at in positions],
        "exported": [float((exported[at] - expected[at]).abs().max()) for at in positions],
        "scaling lost": [float((lost[at] - expected[at]).abs().max()) for at in positions],
    }
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
