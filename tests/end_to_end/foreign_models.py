"""Tiny random models of other families as the base model of the small project of ``material``.

``python -m tests.end_to_end.foreign_models FOLDER NAME`` (in the nemo environment) writes the model ``NAME`` of
``MODELS`` as an archive with a Hugging Face folder, and changes the project's sources and configuration.
"""

import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import yaml

SIZES = {"hidden_size": 32, "num_layers": 2, "num_attention_heads": 4, "ffn_hidden_size": 48, "seq_length": 256}
GROUPS = {"num_query_groups": 2}
SCALED = {"rope_scaling": {"scale_factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "old_context_len": 32}}
TIED = {"share_embeddings_and_output_weights": True}
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama3": ("llama", "llama3", {**GROUPS, **SCALED, "rotary_base": 500_000.0}),
    "llama-tied": ("llama", "smollm2", {**GROUPS, **TIED}),
    "mistral": ("mistral", "sentencepiece", {**GROUPS, "kv_channels": 16, "params_dtype": "bfloat16"}),
    "qwen2": ("qwen2", "qwen2", {**GROUPS, **TIED}),
    "qwen3": ("qwen3", "qwen2", {**GROUPS, "kv_channels": 16}),
    "nvidia-gpt": ("nvidia_gpt", "sentencepiece", {"num_query_groups": 4, "rotary_percent": 0.5}),
    "nemotron": ("nemotron", "sentencepiece", {"num_query_groups": 4, "rotary_percent": 0.5}),
}
"""Family, tokenizer and options of each model."""


def write(folder: Path, name: str) -> None:
    """Write the model, and make it the base model of the project."""
    import torch

    from tapeout.encoder.load import load_encoder
    from tapeout.models.family import load_family
    from tapeout.models.huggingface import save_model
    from tests.byte_level_material import write_tokenizer

    family_name, kind, options = MODELS[name]
    family = load_family(family_name)
    with tempfile.TemporaryDirectory() as scratch:
        if kind == "sentencepiece":
            tokenizer = Path(scratch) / "tokenizer.model"
            with zipfile.ZipFile(folder / "tokenizer.whl") as opened:
                tokenizer.write_bytes(opened.read("tiny.model"))
        else:
            tokenizer = write_tokenizer(Path(scratch) / "tokenizer", kind)
        encoder = load_encoder(tokenizer)
        rows = encoder.size + 5  # padding rows
        architecture = family.Architecture.model_validate({**SIZES, **options})
        ids = {"bos_token_id": encoder.bos, "eos_token_id": encoder.eos, "pad_token_id": encoder.pad}
        config = family.huggingface_config(architecture, rows, **ids)
        torch.manual_seed(3)
        model = family.model_class()(config)
        with torch.no_grad():
            for parameter in model.parameters():  # norms and biases too
                parameter.add_(0.05 * torch.randn_like(parameter))
        save_model(model, family, tokenizer, Path(scratch) / "model")
        with zipfile.ZipFile(folder / "model.zip", "w") as opened:
            for path in sorted((Path(scratch) / "model").iterdir()):
                opened.writestr(zipfile.ZipInfo(f"model/{path.name}"), path.read_bytes())
    records = yaml.safe_load((folder / "sources.yaml").read_text())
    records["model"] = {"kind": "file", "path": str(folder / "model.zip"), "licence": "Apache-2.0"}
    (folder / "sources.yaml").write_text(yaml.safe_dump(records))
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    base = {"kind": "huggingface", "source": "model", "path": "model", "family": family_name, "vocab_size": rows}
    settings["base"] = {**base, "architecture": {**SIZES, **options}}
    settings["tokenizer"].pop("source")
    settings["tokenizer"] |= {"model_file": tokenizer.name, "new_pieces": 16, "multiple": 1}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2])
