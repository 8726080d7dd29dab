"""One process that writes, reads and imports NeMo-1 archives of tiny models; test_nemo1.py reads its results."""

import hashlib
import json
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = "{input} {output}"
TEXT = "always @(posedge clk) data <= address; "
SIZES = {"hidden_size": 32, "num_layers": 2, "num_attention_heads": 4, "num_query_groups": 2, "ffn_hidden_size": 48}
SCALING = {"scale_factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "old_context_len": 16}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "untied": ("llama", {}),
    "tied": ("llama", {"share_embeddings_and_output_weights": True}),
    "llama3": ("llama", {"rope_scaling": SCALING, "rotary_base": 500_000.0}),
    "bfloat16": ("llama", {"params_dtype": "bfloat16"}),
    "padded": ("llama", {}),
    "gated": ("nvidia_gpt", {}),
    "squared": ("nemotron", {}),
}
OLD = {"fast-swiglu": "nvidia_gpt", "swiglu": "nvidia_gpt", "squared-relu": "nemotron"}
TOKENS = 60
PADDING = 7
"""Rows of the model "padded" beyond the last piece; it also has several ids that end a text."""
REFUSED: list[tuple[str, Any, str]] = [
    ("bias", True, "has bias True, and models of the chosen family have False"),
    ("normalization", "rmsnorm", "has normalization 'rmsnorm'"),
    ("activation", "gelu", "has activation 'gelu'"),
    ("position_embedding_type", "learned_absolute", "has position_embedding_type 'learned_absolute'"),
    ("transformer_block_type", "post_ln", "has transformer_block_type 'post_ln', which no model family has"),
    ("seq_len_interpolation_factor", 4, "has seq_len_interpolation_factor 4"),
    ("num_layers", 3, "lacks the tensor encoder.layers.2.input_layernorm.bias"),
    ("num_layers", None, "lacks num_layers"),
    ("tokenizer", {"library": "huggingface", "type": "gpt2"}, "has no SentencePiece tokenizer"),
]
"""Options of an archive with a squared ReLU that are changed, and the error."""


SIZE = {"num_layers": 3, "hidden_size": 64, "num_attention_heads": 4, "num_query_groups": 2, "ffn_hidden_size": 96}
CONTEXTS: list[tuple[str, str, dict[str, Any], Any]] = [
    ("llama", "llama:Llama2Config7B", {}, "llama2-7b"),
    ("llama", "llama:Llama2Config13B", {}, "llama2-13b"),
    ("llama", "llama:Llama2Config70B", {}, "llama2-70b"),
    ("llama", "llama:Llama3Config8B", {}, "llama3-8b"),
    ("mistral", "mistral:MistralConfig7B", {"window_size": None, "rotary_base": 1e6}, "mistral-7b"),
    ("llama", "llama:Llama3Config8B", SIZE, {**SIZE, "rotary_base": 500_000.0, "seq_length": 8192}),
    ("llama", "llama:Llama32Config1B", {}, {"num_layers": 16, "share_embeddings_and_output_weights": True}),
    ("nemotron", "nemotron:Nemotron3Config22B", {}, {"num_query_groups": 48, "kv_channels": 128}),
    ("mistral", "mistral:MistralConfig7B", {}, "has window_size [4096, 0], and models of the chosen family have None"),
    ("qwen2", "qwen3:Qwen3Config8B", {}, "has add_qkv_bias False"),
    ("llama", "llama_embedding:Llama32EmbeddingConfig1B", {}, "has add_bos True"),
    ("llama", "llama:Llama2Config7B", {"rotary_interleaved": True}, "has rotary_interleaved True"),
    ("llama", "llama:LlamaConfig", {**SIZE, "seq_len_interpolation_factor": 4}, "has seq_len_interpolation_factor 4"),
    ("nemotron", "llama:Llama3Config8B", {}, "not one of Hugging Face's type nemotron: its context has Llama3Config8B"),
    ("llama", "llama:NoConfig", {}, "not one of Hugging Face's type llama"),
]
"""Family, class of NeMo, recorded values; and the published model, some dimensions, or the error."""


def main(folder: Path) -> None:
    """Write archives, folders, and what was measured to ``results.json``."""
    from tapeout.nemo.process import prepare

    prepare(threads=1)
    import torch
    from nemo_aligner.models.nlp.gpt.gpt_sft_model import GPTSFTModel

    from tapeout.config.export import ExportNemoJob
    from tapeout.config.instructions import EncodeJob, Prompt
    from tapeout.deploy.huggingface import fixed_tokens, nemo_logits
    from tapeout.deploy.nemo1_archive import archive_logits, export_archive
    from tapeout.guard.folders import check_checkpoint
    from tapeout.nemo.checkpoint import load_model
    from tapeout.nemo.convert import import_checkpoint
    from tapeout.nemo.import_nemo import import_nemo
    from tapeout.nemo.nemo1 import Prompts, write_archive
    from tests.nemo.old_gpt import install_apex_stand_ins, write_old_archive
    from tests.nemo.tiny_model import PIECES, tokenizer_model

    results: dict[str, Any] = {}
    tokenizer = folder / "tokenizer.model"
    tokenizer.write_bytes(tokenizer_model())
    ids = fixed_tokens(PIECES, TOKENS)

    def largest(one: Any, other: Any) -> float:
        return float((one - other).abs().max())

    def build(source: Path, name: str) -> Path:
        """Write the archive of a Hugging Face folder."""
        import_checkpoint(source, folder / name / "checkpoint", folder / name)
        (folder / name / "content").mkdir()
        archive = folder / name / "mcore.nemo"
        write_archive(folder / name / "checkpoint", archive, Prompts(TEMPLATE), folder / name / "content")
        return archive

    for name, (family, options) in MODELS.items():
        source = folder / "sources" / name
        write_model(source, tokenizer, family, options)
        archive = build(source, name)
        check_checkpoint(folder / name / "checkpoint")
        with torch.no_grad():
            expected = load_model(source)(ids).logits
        results[name] = {
            "spread": float(expected.std()),
            "megatron_gpt_model": largest(archive_logits(archive, ids), expected),
            "nemo2": largest(nemo_logits(folder / name / "checkpoint", ids).float(), expected),
            "report": import_nemo(archive, family, folder / name / "again"),
        }
    results["gated"]["gpt_sft_model"] = largest(
        archive_logits(folder / "gated/mcore.nemo", ids, GPTSFTModel), load_logits(folder / "sources/gated", ids)
    )
    for name in ("gated", "squared"):
        trained = train_on_text(folder / name / "checkpoint", folder / "trained" / name)
        job = ExportNemoJob(
            tolerance=1e-5,
            parity_tokens=TOKENS,
            encoding=EncodeJob(prompt=Prompt(), chat_template=None, template=TEMPLATE, seq_length=64),
        )
        exported = folder / "trained" / name / "exported"
        exported.mkdir()
        (exported / "NOTICE").write_text("The vocabulary of this model extends that of a tiny model.")
        (exported / "LICENSE.txt").write_text("Apache-2.0")
        rows = [question_rows(folder / "trained" / name)]
        export_archive(trained, folder / "trained" / f"{name}.nemo", job, rows, exported)
        results[f"trained {name}"] = {
            "nemo2": largest(nemo_logits(trained, ids), load_logits(trained, ids)),
            "moved": largest(load_logits(trained, ids), load_logits(folder / "sources" / name, ids)),
        }
    for name, source in (("repeated", "untied"), ("sharded", "untied in three files")):
        if name == "sharded":
            split_weights(folder / "sources/untied", folder / "sources" / source)
        results[name] = hashlib.sha256(build(folder / "sources" / source, name).read_bytes()).hexdigest()
    results["untied"]["sha256"] = hashlib.sha256((folder / "untied/mcore.nemo").read_bytes()).hexdigest()

    install_apex_stand_ins()
    for activation, family in OLD.items():
        archive = folder / f"old {activation}.nemo"
        expected = write_old_archive(archive, tokenizer, activation, ids)
        imported = folder / "old" / activation
        imported.parent.mkdir(exist_ok=True)
        report = import_nemo(archive, family, imported)
        results[activation] = {
            "spread": float(expected.std()),
            "huggingface": largest(load_logits(imported, ids), expected),
            "mcore": largest(archive_logits(build(imported, f"from {activation}"), ids), expected),
            "report": report,
        }
    with tarfile.open(folder / "old squared-relu.nemo") as tar:
        tar.extractall(folder / "changed", filter="data")
    path = folder / "changed/model_config.yaml"
    settings = yaml.safe_load(path.read_text())
    refused = []
    for option, value, _ in REFUSED:
        path.write_text(yaml.safe_dump({**settings, option: value}))
        refused.append(refusal(folder / "changed", "nemotron", folder / "refused"))
    results["refused"] = refused
    results["other families"] = [
        refusal(folder / "old squared-relu.nemo", "nvidia_gpt", folder / "refused"),
        refusal(folder / "untied/checkpoint", "nemotron", folder / "refused"),
    ]
    results["nemo2"] = import_nemo(folder / "llama3/checkpoint", "llama", folder / "from nemo2")
    results["contexts"] = [read_context(*row[:3]) for row in CONTEXTS]
    (folder / "results.json").write_text(json.dumps(results))


def read_context(family: str, made_by: str, recorded: dict[str, Any]) -> Any:
    """Return the architecture that a context states which has nothing but recorded values, or the error."""
    from tapeout.guard.errors import UnusableModel
    from tapeout.models.family import load_family
    from tapeout.nemo.nemo2_settings import check_options, model_arguments

    module, _, name = made_by.partition(":")
    reference = {"type": "pyref", "module": f"nemo.collections.llm.gpt.model.{module}", "name": name}
    items = [[f"Attr(name='{key}')", {"type": "leaf", "value": value}] for key, value in recorded.items()]
    metadata = {"type": {"name": "Metadata"}, "items": [["Attr(name='fn_or_cls')", reference]]}
    model = {"type": {"name": "Config"}, "items": items, "metadata": {"type": "ref", "key": "metadata"}}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "context/io.json"
        path.parent.mkdir()
        path.write_text(json.dumps({"objects": {"metadata": metadata, "model": model}}))
        kind = load_family(family)
        try:
            arguments = model_arguments(Path(scratch), kind)
            architecture = kind.architecture_from_nemo(arguments)
            check_options(arguments, architecture, kind, 1024)
        except UnusableModel as error:
            return error.cause
    return architecture.model_dump(mode="json")


def train_on_text(checkpoint: Path, workplace: Path) -> Path:
    """Train a checkpoint for a few steps on text, and return the folder of the result."""
    from tapeout.config.dapt import Dapt
    from tapeout.models.tokenizer_file import tokenizer_path
    from tapeout.train.launch import single_rank
    from tapeout.train.methods import dapt
    from tapeout.train.trainer import train

    texts = {name: workplace / f"{name}.jsonl" for name in ("domain", "general")}
    workplace.mkdir(parents=True)
    for path in texts.values():
        path.write_text(json.dumps({"text": TEXT * 40}) + "\n")
    job = Dapt(max_steps=3, warmup_steps=1, lr=0.01, seq_length=64, global_batch_size=4, micro_batch_size=4, threads=1)
    destroy_calculator()
    rank = single_rank(workplace / "work")
    data = dapt.data(job, tokenizer_path(checkpoint), texts, rank.once)
    train(checkpoint, data, job, dapt, workplace / "model", rank)
    destroy_calculator()
    return workplace / "model"


def destroy_calculator() -> None:
    """Forget the sizes of batches: a process normally trains once."""
    from megatron.core.num_microbatches_calculator import destroy_num_microbatches_calculator

    destroy_num_microbatches_calculator()


def question_rows(folder: Path) -> Path:
    """Write an instruction data set with one question."""
    (folder / "rows").mkdir()
    row = {"input": "Which port is the output?", "output": "q", "digest": "0"}
    (folder / "rows/train.jsonl").write_text(json.dumps(row) + "\n")
    return folder / "rows"


def refusal(archive: Path, family: str, output: Path) -> str:
    """Return the error of an import that must fail."""
    from tapeout.guard.errors import UnusableModel
    from tapeout.nemo.import_nemo import import_nemo

    try:
        import_nemo(archive, family, output)
    except UnusableModel as error:
        return error.cause
    return "imported"


def load_logits(folder: Path, ids: Any) -> Any:
    """Return the logits of the Hugging Face model in a folder."""
    import torch

    from tapeout.nemo.checkpoint import load_model

    with torch.no_grad():
        return load_model(folder)(ids).logits


def write_model(folder: Path, tokenizer: Path, family: str, options: dict[str, Any]) -> None:
    """Write a random model of a family as a Hugging Face folder.

    The rows of each head of layer 0 hold one constant, so that the order of a fused projection can be seen.
    """
    import torch

    from tapeout.models.family import load_family
    from tapeout.models.huggingface import save_model
    from tests.nemo.tiny_model import PIECES

    kind = load_family(family)
    architecture = kind.Architecture(**SIZES, seq_length=64, init_method_std=0.2, **options)
    padded = folder.name == "padded"
    ids = {"bos_token_id": 1, "eos_token_id": [2, 7] if padded else 2, "pad_token_id": 0 if padded else None}
    config = kind.huggingface_config(architecture, PIECES + padded * PADDING, **ids)
    torch.manual_seed(0)
    model = kind.model_class()(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
        for number, part in enumerate("qkv"):
            weight = model.get_parameter(f"model.layers.0.self_attn.{part}_proj.weight")
            head = torch.arange(len(weight)) // architecture.kv_channels
            weight.copy_(((head + 10 * number) / 100)[:, None].expand_as(weight))
    save_model(model.to(config.torch_dtype), kind, tokenizer, folder)


def split_weights(source: Path, target: Path) -> None:
    """Copy a Hugging Face folder with its weights in three files."""
    import shutil

    from safetensors.torch import load_file, save_file

    shutil.copytree(source, target)
    weights = load_file(target / "model.safetensors")
    (target / "model.safetensors").unlink()
    names = {name: f"model-{number % 3 + 1:05}-of-00003.safetensors" for number, name in enumerate(weights)}
    for file in set(names.values()):
        save_file({name: weights[name] for name in weights if names[name] == file}, target / file, {"format": "pt"})
    (target / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
