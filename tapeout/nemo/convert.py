"""Between Hugging Face folders and NeMo-2 checkpoints, by NeMo's own importer and exporter, and checked.

NeMo's converters raise nothing when a name does not match (N3 in docs/faults.md): the layer stays at its random
beginning. So every tensor is compared with its source after the import, and the logits after the export.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaForCausalLM

from tapeout.data.encode.prompt import TEMPLATE_FILE, split_template
from tapeout.errors import TapeoutError
from tapeout.nemo.canonical import canonicalise
from tapeout.nemo.read import checkpoint_tensors, huggingface_config, huggingface_weights, tokenizer_path


class ConversionMismatch(TapeoutError):
    """A converted model that is not the same model."""


def import_checkpoint(source: Path, output: Path, workplace: Path) -> None:
    """Convert the Hugging Face folder ``source`` into the new canonical NeMo-2 folder ``output``, tokenizer inside.

    Raises:
        ConversionMismatch: a tensor is missing, additional, or differs in a bit.
    """
    from nemo.collections import llm

    kind = llm.LlamaModel(
        llm.LlamaConfig(num_layers=1, hidden_size=8, num_attention_heads=1)
    )  # only names the importer
    llm.import_ckpt(kind, f"hf://{source.resolve()}", output_path=output)
    canonicalise(output, forbidden=[source.resolve(), output.resolve(), workplace.resolve()])
    converted = huggingface_weights(checkpoint_tensors(output), huggingface_config(output))
    compare_tensors(_source_tensors(source), converted)


def _source_tensors(source: Path) -> dict[str, Tensor]:
    return {name: tensor for path in sorted(source.glob("*.safetensors")) for name, tensor in load_file(path).items()}


def compare_tensors(expected: dict[str, Tensor], found: dict[str, Tensor]) -> None:
    """Both have the same names and the same bits.

    Raises:
        ConversionMismatch: naming the first tensor that differs.
    """
    for name in sorted(expected.keys() | found.keys()):
        if name not in expected or name not in found:
            raise ConversionMismatch(
                f"Tensor {name} is on one side only.", "This architecture cannot be converted yet."
            )
        if not torch.equal(expected[name], found[name]):
            raise ConversionMismatch(
                f"Tensor {name} changed in the conversion.", "Check the shim's names of the norms."
            )


def export_checkpoint(source: Path, output: Path, tolerance: float, tokens: int) -> None:
    """Convert the NeMo-2 folder ``source`` into the new Hugging Face folder ``output``, load it back and compare.

    Writes ``parity.json``: the largest difference of a logit between NeMo's model and the exported one, on a fixed
    sequence of ``tokens`` ids.

    Raises:
        ConversionMismatch: a tensor differs, or a logit differs by more than ``tolerance``.
    """
    from nemo.collections import llm

    llm.export_ckpt(path=source, target="hf", output_path=output)
    _write_tokenizer(source, output)
    _write_generation_config(output)
    weights = huggingface_weights(checkpoint_tensors(source), huggingface_config(source))
    compare_tensors(weights, _source_tensors(output))
    exported = LlamaForCausalLM.from_pretrained(output, torch_dtype=torch.float32, local_files_only=True).eval()
    ids = fixed_tokens(exported.config.vocab_size, tokens)
    with torch.no_grad():
        difference = float((nemo_logits(source, ids) - exported(ids).logits).abs().max())
    if not difference <= tolerance:
        raise ConversionMismatch(
            f"Logits of the exported model differ by {difference:.2e}, more than {tolerance:.0e}.",
            "Raise export.tolerance only if you know why they differ.",
        )
    parity = {"largest_difference": difference, "tokens": tokens, "tolerance": tolerance, "tensors": len(weights)}
    _write_json(output / "parity.json", parity)
    for path in sorted(output.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def fixed_tokens(vocabulary: int, count: int) -> Tensor:
    """The same ids on every machine, [1, count], spread over the whole vocabulary."""
    return (torch.arange(count, dtype=torch.long) * 2_654_435_761 % vocabulary)[None]


def nemo_logits(checkpoint: Path, ids: Tensor) -> Tensor:
    """Logits [b, s, v] of the real NeMo model in ``checkpoint``, with Megatron's own attention and output layer."""
    from nemo.collections.llm.gpt.model.llama import HFLlamaExporter

    model, _ = HFLlamaExporter(checkpoint).nemo_load(checkpoint)
    length = ids.size(1)
    forbidden = torch.ones(length, length, dtype=torch.bool).triu_(1)[None, None]
    with torch.no_grad():
        logits: Tensor = model.eval()(ids, torch.arange(length)[None], forbidden)
    return logits


def _write_tokenizer(source: Path, output: Path) -> None:
    """The SentencePiece model itself, and a chat template made from the prompt template (F55)."""
    for path in sorted(output.glob("*token*")):
        path.unlink()
    shutil.copyfile(tokenizer_path(source), output / "tokenizer.model")
    settings: dict[str, Any] = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
        "legacy": False,
        "clean_up_tokenization_spaces": False,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }
    stored = source / TEMPLATE_FILE
    if stored.is_file():
        settings["chat_template"] = chat_template(json.loads(stored.read_text())["template"])
    _write_json(output / "tokenizer_config.json", settings)


def chat_template(template: str) -> str:
    """A Jinja chat template that renders one user turn exactly like the prompt, and an answer after it."""
    before, between, _ = split_template(template)
    return (
        "{% for message in messages %}"
        "{% if message['role'] == 'user' %}{{ bos_token + "
        + json.dumps(before)
        + " + message['content'] + "
        + json.dumps(between)
        + " }}"
        "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}"
        "{% endif %}{% endfor %}"
    )


def _write_generation_config(output: Path) -> None:
    """Greedy, stopping at ``</s>``."""
    _write_json(output / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, "do_sample": False})


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
