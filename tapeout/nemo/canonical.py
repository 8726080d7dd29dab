"""Canonical form of a NeMo-2 checkpoint folder, in which two equal training runs have the same bytes.

A save also writes things that are not content (measured on nemo_toolkit 2.4.1): in ``weights/.metadata`` a random
``save_id``, the folder's own path, the whole save plan of the process that wrote it, and the order in which the writer
processes happened to finish; paths of the log folder in the state of callbacks in ``weights/common.pt``; file modes. A
load reads none of it.
"""

import io
import json
import pickle
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.metadata import MetadataIndex, StorageMeta

from tapeout.guard.errors import UnusableModel
from tapeout.guard.saved import load_common
from tapeout.guard.weights import read_metadata

SAVE_ID = "tapeout"
PICKLE_PROTOCOL = 4
TEXT = (".json", ".yaml", ".yml", ".txt")


def canonicalize(checkpoint: Path, forbidden: list[Path]) -> None:
    """Rewrite ``checkpoint`` (``context/`` and ``weights/``) in place in its canonical form.

    Args:
        checkpoint: a NeMo-2 checkpoint folder that was just written.
        forbidden: folders of this run (output, temporary folder, inputs) whose paths must not occur in any text file.

    Raises:
        UnusableModel: a part is missing, or a text file still contains a forbidden path.
    """
    for part in ("context/io.json", "weights/.metadata", "weights/common.pt"):
        if not (checkpoint / part).is_file():
            raise UnusableModel(f"The checkpoint {checkpoint.name} lacks {part}.", "Save it again; it is incomplete.")
    index = checkpoint / "weights" / ".metadata"
    write_metadata(read_metadata(index), index)
    _rewrite_common(checkpoint / "weights" / "common.pt")
    context = checkpoint / "context" / "io.json"
    context.write_text(json.dumps(json.loads(context.read_text()), sort_keys=True, separators=(",", ":")) + "\n")
    for path in sorted(checkpoint.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        if path.suffix in TEXT:
            _refuse_paths(path, forbidden)


def write_metadata(metadata: Any, path: Path) -> None:
    """Write the index of a distributed checkpoint with a fixed id and order, without its path and its writer's plans.

    It is pickled without a memo, so that the bytes depend on values alone and not on which of them are one object.
    """
    metadata.state_dict_metadata = dict(sorted(metadata.state_dict_metadata.items()))
    metadata.storage_data = dict(sorted(metadata.storage_data.items(), key=_sort_key))
    metadata.storage_meta = StorageMeta(checkpoint_id=None, save_id=SAVE_ID, load_id=None)
    metadata.all_local_plans = None
    written = io.BytesIO()
    pickler = pickle.Pickler(written, protocol=PICKLE_PROTOCOL)
    pickler.fast = True
    pickler.dump(metadata)
    path.write_bytes(written.getvalue())


def _sort_key(entry: tuple[MetadataIndex, Any]) -> tuple[str, tuple[int, ...]]:
    """Return the name of the tensor that an entry of the index belongs to, and the offset in that tensor."""
    return entry[0].fqn, tuple(entry[0].offset or ())


def _rewrite_common(path: Path) -> None:
    """Remove the state of the callbacks, which has paths of log folders; epoch and step of the training loop stay."""
    common: dict[str, Any] = load_common(path)
    common["callbacks"] = {}
    torch.save(common, path)


def _refuse_paths(path: Path, forbidden: list[Path]) -> None:
    text = path.read_text(encoding="utf-8", errors="replace")
    for folder in forbidden:
        if str(folder) in text:
            raise UnusableModel(
                f"{path.name} of the checkpoint contains the path {folder}.",
                "Report it: a checkpoint must not depend on the folder in which it was written.",
            )
