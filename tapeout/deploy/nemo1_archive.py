"""Export a NeMo-2 checkpoint to a NeMo-1 archive, and prove that the archive is the same model.

The archive is read back in two ways: by ``convert_archive``, which gives every tensor and the tokenizer, and by NeMo's
own ``MegatronGPTModel.restore_from``, which gives logits.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tapeout.config.export import ExportNemoJob
from tapeout.config.instructions import EncodeJob
from tapeout.data.encode.chat import MARKS
from tapeout.data.encode.row_encoder import WHOLE
from tapeout.data.io.jsonl import read_jsonl
from tapeout.deploy.huggingface import parity_ids
from tapeout.deploy.notice import copy_licences
from tapeout.deploy.token_ids import shape_of
from tapeout.models.carried import special_ids
from tapeout.models.family import Family, family_of
from tapeout.models.huggingface import checked_config
from tapeout.models.tokenizer_file import tokenizer_path
from tapeout.models.weights_folder import FolderWeights
from tapeout.nemo.checkpoint import CheckpointWeights, checkpoint_config, load_model
from tapeout.nemo.convert import ConversionMismatch, compare_tensors, import_checkpoint
from tapeout.nemo.import_nemo import convert_archive
from tapeout.nemo.nemo1 import Prompts, write_archive


def export_archive(checkpoint: Path, output: Path, job: ExportNemoJob, rows: Sequence[Path], exported: Path) -> None:
    """Write a NeMo-2 checkpoint folder as the NeMo-1 archive ``output``, and verify it.

    Args:
        checkpoint: the checkpoint folder, or a Hugging Face folder, such as a merged model.
        output: new file.
        job: tolerance and length of the comparison, prompts of the training.
        rows: folders ``instructions/<set>`` of each set that the model was trained on.
        exported: ``export/hf`` of the same model, whose NOTICE and licences go into the archive.

    Raises:
        UnusableModel: NeMo-1 does not have this architecture or this kind of tokenizer.
        ConversionMismatch: a tensor, the configuration or the tokenizer differs, or a logit by more than
            ``job.tolerance``.
    """
    prompts = prompts_of(job.encoding, {shape_of(row) for folder in rows for row in _train_rows(folder)})
    with tempfile.TemporaryDirectory() as scratch:
        content, archive = Path(scratch) / "content", Path(scratch) / output.name
        content.mkdir()
        copy_licences(exported, content)
        if (checkpoint / "config.json").is_file():
            import_checkpoint(checkpoint, Path(scratch) / "checkpoint", Path(scratch))
            checkpoint = Path(scratch) / "checkpoint"
        write_archive(checkpoint, archive, prompts, content)
        check_archive(archive, checkpoint, family_of(checkpoint), job)
        shutil.move(archive, output)


def prompts_of(encoding: EncodeJob, shapes: Iterable[str]) -> Prompts:
    """Return the prompts of a training on rows of the given shapes, see ``tapeout.deploy.token_ids.SHAPES``."""
    if "conversation" in shapes or encoding.prompt.for_questions:
        if encoding.prompt.tokens == "template":
            return Prompts(encoding.chat_template or "", {})
        marks = MARKS[encoding.prompt.tokens]
        starts = {"system_turn_start": marks.system, "turn_start": marks.turn, "label_start": marks.label}
        return Prompts(marks.template, {**starts, "end_of_turn": marks.end, "end_of_name": marks.end})
    return Prompts(encoding.template if "question" in shapes else WHOLE)


def check_archive(archive: Path, checkpoint: Path, family: Family, job: ExportNemoJob) -> None:
    """Compare an archive with the checkpoint that it was made from.

    Raises:
        ConversionMismatch: see ``export_archive``.
    """
    with tempfile.TemporaryDirectory() as scratch:
        again = Path(scratch) / "again"
        convert_archive(archive, family, again)
        compare_tensors(CheckpointWeights(checkpoint), FolderWeights(again))
        if (again / "tokenizer.model").read_bytes() != tokenizer_path(checkpoint).read_bytes():
            raise ConversionMismatch("The archive has another tokenizer.", "Report it; the export is at fault.")
        expected, actual = checkpoint_config(checkpoint), checked_config(again)
        if family.architecture_of(actual) != family.architecture_of(expected):
            raise ConversionMismatch("The archive has another architecture.", "Report it; the export is at fault.")
        if special_ids(actual) != special_ids(expected):
            raise ConversionMismatch("The archive has other special ids.", "Report it; the export is at fault.")
    if not job.parity_tokens:
        return
    ids = parity_ids(expected, job.parity_tokens)
    with torch.no_grad():
        difference = float((archive_logits(archive, ids) - load_model(checkpoint)(ids).logits).abs().max())
    if not difference <= job.tolerance:
        raise ConversionMismatch(
            f"Logits of NeMo's model of the archive differ by {difference:.2e}, more than {job.tolerance:.0e}.",
            "Raise export.tolerance only if you know why they differ.",
        )


def archive_logits(archive: Path, ids: Tensor, kind: Any = None) -> Tensor:
    """Return the logits [b, s, v] of NeMo's own model of a NeMo-1 archive.

    Args:
        archive: an archive of Tapeout's own.
        ids: token ids [b, s].
        kind: class of the model; ``MegatronGPTModel`` if None.
    """
    from tapeout.nemo.nemo1_shim import install

    install()
    from nemo.collections.nlp.parts.nlp_overrides import NLPSaveRestoreConnector

    model = (kind or megatron_gpt_model()).restore_from(
        str(archive), trainer=cpu_trainer(), save_restore_connector=NLPSaveRestoreConnector(), map_location="cpu"
    )
    length = ids.size(1)
    forbidden = torch.ones(length, length, dtype=torch.bool).triu_(1)[None, None]
    with torch.no_grad():
        logits: Tensor = model.model.float().eval()(ids, torch.arange(length)[None], forbidden)
    return logits


def megatron_gpt_model() -> Any:
    """Return NeMo-1's class of GPT models."""
    from nemo.collections.nlp.models.language_modeling.megatron_gpt_model import MegatronGPTModel

    return MegatronGPTModel


def cpu_trainer() -> Any:
    """Return a trainer of one process on the CPU, with Megatron's groups of processes set up."""
    import lightning.pytorch as lightning
    from megatron.core import parallel_state
    from nemo.collections.nlp.parts.nlp_overrides import NLPDDPStrategy

    if not torch.distributed.is_initialized():
        rendezvous = os.path.join(tempfile.mkdtemp(), "rendezvous")
        torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=0, world_size=1)
    if not parallel_state.is_initialized():
        parallel_state.initialize_model_parallel()
    strategy = NLPDDPStrategy(process_group_backend="gloo")
    return lightning.Trainer(
        accelerator="cpu", devices=1, strategy=strategy, logger=False, enable_checkpointing=False, max_steps=1
    )


def _train_rows(folder: Path) -> Iterable[dict[str, Any]]:
    return read_jsonl(folder / "train.jsonl", ("digest",))
