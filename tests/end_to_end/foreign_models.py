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
    "llama-nemo": ("llama", "sentencepiece", GROUPS),
    "nemotron": ("nemotron", "sentencepiece", {"num_query_groups": 4, "rotary_percent": 0.5}),
}
"""Family, tokenizer and options of each model."""
TEMPLATED, CHATML = (
    "qwen3",
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
)
"""A model with a chat template, which renders its rows, and that template."""
ARCHIVED = ("llama-nemo",)
"""Models that are written as a NeMo-1 archive and not as a Hugging Face folder."""


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
        if name == TEMPLATED:
            (Path(scratch) / "model" / "chat_template.jinja").write_text(CHATML)
        file = folder / ("model.nemo" if name in ARCHIVED else "model.zip")
        (pack_as_nemo if name in ARCHIVED else pack)(Path(scratch) / "model", file)
    records = yaml.safe_load((folder / "sources.yaml").read_text())
    records["model"] = {"kind": "file", "path": str(file), "licence": "Apache-2.0"}
    (folder / "sources.yaml").write_text(yaml.safe_dump(records))
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    kind_and_path = {"kind": "nemo"} if name in ARCHIVED else {"kind": "huggingface", "path": "model"}
    base = {**kind_and_path, "source": "model", "family": family_name, "vocab_size": rows}
    settings["base"] = {**base, "architecture": {**SIZES, **options}}
    if name == TEMPLATED:
        settings["instructions"]["prompt"] = {"tokens": "template", "chat_template": "model"}
    settings["tokenizer"].pop("source")
    settings["tokenizer"] |= {"model_file": tokenizer.name, "new_pieces": 16, "multiple": 1}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))


def pack(model: Path, file: Path) -> None:
    """Write a Hugging Face folder as a zip archive."""
    with zipfile.ZipFile(file, "w") as opened:
        for path in sorted(model.iterdir()):
            opened.writestr(zipfile.ZipInfo(f"model/{path.name}"), path.read_bytes())


def pack_as_nemo(model: Path, file: Path) -> None:
    """Convert a Hugging Face folder to a NeMo-1 archive, as the rule export_nemo writes it."""
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    from tapeout.nemo.convert import import_checkpoint
    from tapeout.nemo.nemo1 import Prompts, write_archive

    checkpoint, content = model.parent / "checkpoint", model.parent / "content"
    content.mkdir()
    import_checkpoint(model, checkpoint, model.parent)
    write_archive(checkpoint, file, Prompts("{input}{output}"), content)


if __name__ == "__main__":
    write(Path(sys.argv[1]), sys.argv[2])
