"""Export trained models to Hugging Face folders, and prove that both are one model."""

from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from tapeout.config.export import ExportJob
from tapeout.deploy.model_card import write_card
from tapeout.deploy.notice import write_licences
from tapeout.deploy.served_tokenizer import ends_of_answers, stop_settings, write_settings, write_tokenizer
from tapeout.deploy.token_ids import check_tokenizers, read_sets
from tapeout.encoder.load import load_encoder
from tapeout.guard.folders import check_checkpoint
from tapeout.models.family import family_of
from tapeout.models.huggingface import checked_config, load_huggingface
from tapeout.models.tokenizer_file import tokenizer_path
from tapeout.models.weights_folder import FolderWeights
from tapeout.nemo.convert import ConversionMismatch, export_weights

if TYPE_CHECKING:
    from transformers import PretrainedConfig

PARITY = "parity.json"
"""File of an exported folder with what the export has compared."""
DIGITS = 6
"""Decimal digits of the logits in it."""


def export_model(
    source: Path,
    output: Path,
    job: ExportJob,
    sets: Sequence[tuple[Path, Path]],
    texts: Sequence[Path],
    stated: Mapping[str, Collection[str]],
    base: Path | None = None,
) -> None:
    """Write a trained model as a Hugging Face folder, load that and compare it with the trained model.

    Adds to the folder the tokenizer with the chat template of the training, generation_config.json (greedy decoding,
    and where an answer ends), NOTICE, README.md (the model card), and parity.json: the largest difference of a logit
    between the trained model and the exported one, the trained model's logits in short, and the number of prompts and
    texts whose token ids were compared with those of the training.

    Args:
        source: a NeMo-2 checkpoint folder, which NeMo itself then loads, or a Hugging Face folder.
        output: new folder for the Hugging Face model.
        job: type of the weights, tolerance and length of the comparison, prompts of the training, and the sources that
            NOTICE names.
        sets: folders ``instructions/<set>`` and ``encoded/<set>`` of each set that the model was trained on.
        texts: test texts, JSONL.
        stated: licences that training text states itself, by source.
        base: folder of the base model, if that comes from a source; its licence files are copied.

    Raises:
        ConversionMismatch: a tensor differs, a logit differs by more than ``job.tolerance``, or the exported tokenizer
            gives other token ids than the training.
    """
    import transformers

    family = family_of(source)
    tokenizer = tokenizer_path(source)
    encoder = load_encoder(tokenizer)
    shapes, rows = read_sets(sets)
    ends = ends_of_answers(encoder, job, shapes)
    dtype = None if job.dtype is None else getattr(torch, job.dtype)
    export_weights(source, output, dtype=dtype)
    settings = checked_config(output)
    write_tokenizer(tokenizer, output, family, job, shapes, settings.max_position_embeddings)
    generation = {"bos_token_id": encoder.bos, "do_sample": False, **stop_settings(ends, encoder.eos)}
    write_settings(output / "generation_config.json", generation)
    parity = {
        "compared_with": "Hugging Face" if _is_huggingface(source) else "NeMo",
        "tensors": len(FolderWeights(output)),
        "tolerance": job.tolerance,
        "token_ids": check_tokenizers(output, rows, texts, ends, job.encoding),
        "versions": {"tokenizers": version("tokenizers"), "transformers": transformers.__version__},
        "weights": str(settings.torch_dtype).removeprefix("torch."),
        **compare_logits(source, output, settings, job, dtype),
    }
    write_settings(output / PARITY, parity)
    write_licences(output, job, stated, base)
    write_card(output, job, stated, shapes)
    for path in sorted(output.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def compare_logits(
    source: Path, output: Path, config: "PretrainedConfig", job: ExportJob, dtype: torch.dtype | None
) -> dict[str, Any]:
    """Compare the logits of the trained model and the exported one, which are loaded one after the other.

    Returns:
        the number of tokens, the largest difference, the largest difference that rounding the weights makes, and the
        logits of the trained model, for comparisons in other programs; None if no tokens are compared.

    Raises:
        ConversionMismatch: they differ by more than ``job.tolerance``.
    """
    if not job.parity_tokens:
        return {"tokens": 0, "largest_difference": None, "rounding": None, "logits": None}
    ids = parity_ids(config, job.parity_tokens)
    trained = trained_logits(source, ids)
    expected = trained if dtype is None else trained_logits(source, ids, dtype)
    with torch.no_grad():
        difference = float((expected - load_huggingface(output)(ids).logits).abs().max())
    if not difference <= job.tolerance:
        raise ConversionMismatch(
            f"Logits of the exported model differ by {difference:.2e}, more than {job.tolerance:.0e}.",
            "Raise export.tolerance only if you know why they differ.",
        )
    return {
        "tokens": ids.size(1),
        "largest_difference": difference,
        "rounding": float((expected - trained).abs().max()),
        "logits": summary(expected),
    }


def summary(logits: Tensor) -> dict[str, list[float]]:
    """Return what identifies logits [1, s, v]: at each position the largest one, its token, and their log-sum-exp."""
    largest, token = logits[0].float().max(-1)
    total = logits[0].float().logsumexp(-1)
    return {
        "token": token.tolist(),
        "largest": [round(value, DIGITS) for value in largest.tolist()],
        "log_sum_exp": [round(value, DIGITS) for value in total.tolist()],
    }


def _is_huggingface(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def trained_logits(source: Path, ids: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return the logits [b, s, v] of a trained model in 32-bit floats, whose weights are rounded to a type before."""
    return huggingface_logits(source, ids, dtype) if _is_huggingface(source) else nemo_logits(source, ids, dtype)


def huggingface_logits(folder: Path, ids: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return the logits of the model in a Hugging Face folder, see ``trained_logits``."""
    model = load_huggingface(folder)
    round_weights(model, dtype)
    with torch.no_grad():
        logits: Tensor = model(ids).logits
    return logits


def fixed_tokens(vocabulary: int, count: int) -> Tensor:
    """Return ``count`` ids, [1, count], spread over the whole vocabulary, the same on every machine."""
    return (torch.arange(count, dtype=torch.long) * 2_654_435_761 % vocabulary)[None]


def parity_ids(config: "PretrainedConfig", count: int) -> Tensor:
    """Return the ids on which the logits of a model are compared, [1, s]: ``count`` or as many as its context has."""
    return fixed_tokens(config.vocab_size, min(count, config.max_position_embeddings))


def round_weights(model: torch.nn.Module, dtype: torch.dtype | None) -> None:
    """Round the parameters of a model to a type, in place; buffers, such as those of positions, stay as they are."""
    with torch.no_grad():
        for parameter in model.parameters() if dtype is not None else ():
            parameter.copy_(parameter.to(dtype))


def nemo_logits(checkpoint: Path, ids: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Return the logits of NeMo's own model, with Megatron's attention and output layer, see ``trained_logits``."""
    import nemo.lightning as nl
    from nemo.lightning.io import ModelConnector

    strategy = nl.MegatronStrategy(ddp="pytorch", setup_optimizers=False)
    precision = nl.MegatronMixedPrecision(precision="32")
    trainer = nl.Trainer(devices=1, accelerator="cpu", strategy=strategy, plugins=precision)
    check_checkpoint(checkpoint)
    model, _ = ModelConnector(checkpoint).nemo_load(checkpoint, trainer)
    round_weights(model, dtype)
    length = ids.size(1)
    forbidden = torch.ones(length, length, dtype=torch.bool).triu_(1)[None, None]
    with torch.no_grad():
        logits: Tensor = model.eval()(ids, torch.arange(length)[None], forbidden)
    return logits
