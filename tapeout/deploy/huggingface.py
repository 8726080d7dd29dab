"""Export NeMo-2 checkpoints to Hugging Face folders, and prove that both are one model."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from tapeout.config.export import ExportJob
from tapeout.deploy.model_card import write_card
from tapeout.deploy.notice import write_licences
from tapeout.deploy.served_tokenizer import ends_of_answers, stop_settings, write_settings, write_tokenizer
from tapeout.deploy.token_ids import check_prompts, check_texts, read_sets
from tapeout.encoder.load import load_encoder
from tapeout.guard.folders import check_checkpoint
from tapeout.models.family import family_of
from tapeout.models.huggingface import checked_config, load_huggingface
from tapeout.models.tokenizer_file import tokenizer_path
from tapeout.models.weights_folder import FolderWeights
from tapeout.nemo.convert import ConversionMismatch, export_weights


def export_checkpoint(
    source: Path,
    output: Path,
    job: ExportJob,
    sets: Sequence[tuple[Path, Path]],
    texts: Sequence[Path],
    stated: Mapping[str, Collection[str]],
    base: Path | None = None,
) -> None:
    """Convert a NeMo-2 checkpoint folder to a Hugging Face folder, load that and compare it with NeMo's model.

    Adds to the folder the tokenizer with the chat template of the training, generation_config.json (greedy decoding,
    and where an answer ends), NOTICE, README.md (the model card), and parity.json: the largest difference of a logit
    between NeMo's model and the exported one, and the number of prompts and texts whose token ids were compared with
    those of the training.

    Args:
        source: the checkpoint folder.
        output: new folder for the Hugging Face model.
        job: tolerance and length of the comparison, prompts of the training, and the sources that NOTICE names.
        sets: folders ``instructions/<set>`` and ``encoded/<set>`` of each set that the model was trained on.
        texts: test texts, JSONL.
        stated: licences that training text states itself, by source.
        base: folder of the base model, if that comes from a source; its licence files are copied.

    Raises:
        ConversionMismatch: a tensor differs, a logit differs by more than ``job.tolerance``, or the exported tokenizer
            gives other token ids than the training.
    """
    family = family_of(source)
    tokenizer = tokenizer_path(source)
    encoder = load_encoder(tokenizer)
    shapes, rows = read_sets(sets)
    ends = ends_of_answers(encoder, job, shapes)
    export_weights(source, output)
    settings = checked_config(output)
    write_tokenizer(tokenizer, output, family, job, shapes, settings.max_position_embeddings)
    generation = {"bos_token_id": encoder.bos, "do_sample": False, **stop_settings(ends, encoder.eos)}
    write_settings(output / "generation_config.json", generation)
    counts = {**check_texts(output, texts), **check_prompts(output, rows, ends, job.encoding)}
    difference = logit_difference(source, output, settings.vocab_size, job)
    parity = {
        "largest_difference": difference,
        "tokens": job.parity_tokens,
        "tolerance": job.tolerance,
        "tensors": len(FolderWeights(output)),
        "token_ids": counts,
    }
    write_settings(output / "parity.json", parity)
    write_licences(output, job, stated, base)
    write_card(output, job, stated, shapes)
    for path in sorted(output.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def logit_difference(source: Path, output: Path, vocabulary: int, job: ExportJob) -> float | None:
    """Return the largest difference of a logit between NeMo's model and the exported one, one after the other.

    Raises:
        ConversionMismatch: it is more than ``job.tolerance``.
    """
    if not job.parity_tokens:
        return None
    ids = fixed_tokens(vocabulary, job.parity_tokens)
    expected = nemo_logits(source, ids)
    with torch.no_grad():
        difference = float((expected - load_huggingface(output)(ids).logits).abs().max())
    if not difference <= job.tolerance:
        raise ConversionMismatch(
            f"Logits of the exported model differ by {difference:.2e}, more than {job.tolerance:.0e}.",
            "Raise export.tolerance only if you know why they differ.",
        )
    return difference


def fixed_tokens(vocabulary: int, count: int) -> Tensor:
    """Return ``count`` ids, [1, count], spread over the whole vocabulary, the same on every machine."""
    return (torch.arange(count, dtype=torch.long) * 2_654_435_761 % vocabulary)[None]


def nemo_logits(checkpoint: Path, ids: Tensor) -> Tensor:
    """Return the logits [b, s, v] of NeMo's own model, with Megatron's attention and output layer, in 32-bit floats."""
    import nemo.lightning as nl
    from nemo.lightning.io import ModelConnector

    strategy = nl.MegatronStrategy(ddp="pytorch", setup_optimizers=False)
    precision = nl.MegatronMixedPrecision(precision="32")
    trainer = nl.Trainer(devices=1, accelerator="cpu", strategy=strategy, plugins=precision)
    check_checkpoint(checkpoint)
    model, _ = ModelConnector(checkpoint).nemo_load(checkpoint, trainer)
    length = ids.size(1)
    forbidden = torch.ones(length, length, dtype=torch.bool).triu_(1)[None, None]
    with torch.no_grad():
        logits: Tensor = model.eval()(ids, torch.arange(length)[None], forbidden)
    return logits
