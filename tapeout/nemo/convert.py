"""Convert Hugging Face folders to NeMo-2 checkpoints and back, with NeMo's own importer and exporter, and compare.

NeMo's converters raise nothing when a name does not match: the layer keeps its random initial values. Every tensor is
therefore compared with its source after a conversion, and the logits after an export.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from tapeout.config.export import Attribution, ExportJob
from tapeout.data.encode.prompt import TEMPLATE_FILE, split_template
from tapeout.errors import TapeoutError
from tapeout.models.family import Family, family_of
from tapeout.models.huggingface import load_huggingface
from tapeout.models.tokenizer_file import tokenizer_path
from tapeout.nemo.canonical import canonicalize
from tapeout.nemo.checkpoint import checkpoint_weights


class ConversionMismatch(TapeoutError):
    """A converted model differs from its source."""


def import_checkpoint(source: Path, output: Path, workplace: Path) -> None:
    """Convert a Hugging Face folder to a canonical NeMo-2 checkpoint folder with the tokenizer inside.

    Args:
        source: the Hugging Face folder.
        output: new folder for the checkpoint.
        workplace: temporary folder of this process, whose path must not occur in the checkpoint.

    Raises:
        ConversionMismatch: a tensor is missing, additional, or differs in a bit.
    """
    from nemo.collections import llm

    llm.import_ckpt(family_of(source).nemo_model(), f"hf://{source.resolve()}", output_path=output)
    canonicalize(output, forbidden=[source.resolve(), output.resolve(), workplace.resolve()])
    compare_tensors(_huggingface_tensors(source), checkpoint_weights(output))


def export_checkpoint(source: Path, output: Path, job: ExportJob) -> None:
    """Convert a NeMo-2 checkpoint folder to a Hugging Face folder, load that and compare it with NeMo's model.

    Adds to the folder the tokenizer, a chat template made from the prompt template, generation_config.json (greedy
    decoding), NOTICE, and parity.json: the largest difference of a logit between NeMo's model and the exported one.

    Args:
        source: the checkpoint folder.
        output: new folder for the Hugging Face model.
        job: tolerance and length of the comparison, and the sources that NOTICE names.

    Raises:
        ConversionMismatch: a tensor differs, or a logit differs by more than ``job.tolerance``.
    """
    from nemo.collections import llm

    family = family_of(source)
    llm.export_ckpt(path=source, target="hf", output_path=output)
    _write_tokenizer(source, output, family)
    weights = checkpoint_weights(source)
    compare_tensors(weights, _huggingface_tensors(output))
    exported = load_huggingface(output)
    config = exported.config
    generation = {"bos_token_id": config.bos_token_id, "eos_token_id": config.eos_token_id, "do_sample": False}
    _write_json(output / "generation_config.json", generation)
    ids = fixed_tokens(config.vocab_size, job.parity_tokens)
    with torch.no_grad():
        difference = float((nemo_logits(source, ids) - exported(ids).logits).abs().max())
    if not difference <= job.tolerance:
        raise ConversionMismatch(
            f"Logits of the exported model differ by {difference:.2e}, more than {job.tolerance:.0e}.",
            "Raise export.tolerance only if you know why they differ.",
        )
    parity = {
        "largest_difference": difference,
        "tokens": job.parity_tokens,
        "tolerance": job.tolerance,
        "tensors": len(weights),
    }
    _write_json(output / "parity.json", parity)
    (output / "NOTICE").write_text(notice(job), encoding="utf-8")
    for path in sorted(output.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def compare_tensors(expected: dict[str, Tensor], actual: dict[str, Tensor]) -> None:
    """Check that both models have the same tensor names and bit-identical tensors.

    Raises:
        ConversionMismatch: names the first tensor that differs.
    """
    for name in sorted(expected.keys() | actual.keys()):
        if name not in expected or name not in actual:
            raise ConversionMismatch(
                f"Only one of the two models has the tensor {name}.", "This architecture cannot be converted yet."
            )
        if not torch.equal(expected[name], actual[name]):
            raise ConversionMismatch(
                f"Tensor {name} changed in the conversion.",
                "Check the names of the norms in tapeout/nemo/shim.py and the tensor names of the model family.",
            )


def fixed_tokens(vocabulary: int, count: int) -> Tensor:
    """Return ``count`` ids, [1, count], spread over the whole vocabulary, the same on every machine."""
    return (torch.arange(count, dtype=torch.long) * 2_654_435_761 % vocabulary)[None]


def nemo_logits(checkpoint: Path, ids: Tensor) -> Tensor:
    """Return the logits [b, s, v] of NeMo's own model, with Megatron's attention and output layer."""
    model, _ = family_of(checkpoint).nemo_exporter(checkpoint).nemo_load(checkpoint)
    length = ids.size(1)
    forbidden = torch.ones(length, length, dtype=torch.bool).triu_(1)[None, None]
    with torch.no_grad():
        logits: Tensor = model.eval()(ids, torch.arange(length)[None], forbidden)
    return logits


def notice(job: ExportJob) -> str:
    """Return the text of NOTICE: origin and licence of the base tokenizer and of every source of training text."""
    lines = ["The vocabulary of this model extends that of", *_attribution("", job.tokenizer), ""]
    lines.append("The model was trained on text from")
    for name, attribution in sorted(job.trained_on.items()):
        lines += _attribution(f"{name}: ", attribution)
    return "\n".join(lines) + "\n"


def _attribution(name: str, attribution: Attribution) -> list[str]:
    return [f"- {name}{attribution.origin}", f"  licence: {attribution.licence}"]


def _huggingface_tensors(folder: Path) -> dict[str, Tensor]:
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}


def _write_tokenizer(source: Path, output: Path, family: Family) -> None:
    """Write the SentencePiece model itself, and a chat template made from the stored prompt template."""
    for path in sorted(output.glob("*token*")):
        path.unlink()
    shutil.copyfile(tokenizer_path(source), output / "tokenizer.model")
    settings = family.tokenizer_config()
    template = source / TEMPLATE_FILE
    if template.is_file():
        before, between, _ = split_template(json.loads(template.read_text())["template"])
        settings["chat_template"] = family.chat_template(before, between)
    _write_json(output / "tokenizer_config.json", settings)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")
