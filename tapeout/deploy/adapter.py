"""Export an adapter in the layout of PEFT, which vLLM and NIM read, and prove that it is the merged model."""

import shutil
from pathlib import Path

import orjson
import torch

from tapeout.config.export import ExportAdapterJob
from tapeout.deploy.certificate import CertificateRefused, digests, load_exported
from tapeout.deploy.huggingface import PARITY, parity_ids
from tapeout.deploy.served_tokenizer import write_settings
from tapeout.guard.errors import UnusableModel
from tapeout.models.adapter import CONFIG, WEIGHTS, read_adapter

MERGED_ONLY = ("*.safetensors", "*.safetensors.index.json", "config.json", PARITY)
"""Files of the merged model that an adapter does not have."""


def export_adapter(adapter: Path, base: Path, merged: Path, output: Path, job: ExportAdapterJob) -> None:
    """Write a folder with the adapter and what a server needs besides its base model.

    These are the tokenizer with the chat template, generation_config.json, NOTICE and the model card of the merged
    model, and parity.json: the largest difference between logits of the merged model and those of the base model with
    the adapter, as PEFT adds it.

    Args:
        adapter: folder of the trained adapter.
        base: Hugging Face folder of the model that it was trained on.
        merged: exported folder of the merged model.
        output: new folder.
        job: accuracy of the comparison.

    Raises:
        UnusableModel: the adapter does not fit the base model.
        CertificateRefused: a logit differs by more than ``job.tolerance``.
    """
    read_adapter(adapter, base)
    shutil.copytree(merged, output, ignore=shutil.ignore_patterns(*MERGED_ONLY))
    for name in (CONFIG, WEIGHTS):
        if (output / name).exists():
            raise UnusableModel(f"The merged model has a file {name}.", "Build it again.")
        shutil.copyfile(adapter / name, output / name)
    write_settings(output / PARITY, compare_merged(output, base, merged, job))
    for path in sorted(output.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def compare_merged(adapter: Path, base: Path, merged: Path, job: ExportAdapterJob) -> dict[str, object]:
    """Compare the logits of an adapter on its base model with those of the merged model, in 32 bits.

    The merged weights are rounded to the type of the export, so that what this changes is added to the tolerance.

    Raises:
        CertificateRefused: a logit differs by more than ``job.tolerance``.
    """
    from peft import PeftModel
    from peft import __version__ as version

    parity = orjson.loads((merged / PARITY).read_bytes())
    found: dict[str, object] = {
        "base": digests(base),
        "compared_with": "export/hf",
        "largest_difference": None,
        "tokens": job.parity_tokens,
        "tolerance": job.tolerance,
        "versions": {"peft": version},
    }
    if not job.parity_tokens:
        return found
    whole = load_exported(merged)
    ids = parity_ids(whole.config, job.parity_tokens)
    with torch.no_grad():
        expected = whole(ids).logits
        del whole
        together = PeftModel.from_pretrained(load_exported(base), adapter)
        actual = together.eval()(ids).logits
    difference = float((expected - actual).abs().max())
    limit = job.tolerance + parity["rounding"]
    if not difference <= limit:
        raise CertificateRefused(
            f"Logits of the base model with the adapter differ from the merged model's by {difference:.2e}, more than "
            f"{limit:.0e}.",
            "Raise export.tolerance only if you know why they differ.",
        )
    return {**found, "largest_difference": difference, "tokens": ids.size(1)}
