"""Embedding models: plain folders of sentence-transformers, whose files are checked before the library reads them.

The library imports the modules that ``modules.json`` names, so only its own three are allowed: a transformer, pooling
and normalization. Weights must be safetensors.
"""

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import orjson

from tapeout.guard.errors import UnusableModel
from tapeout.guard.folders import SETTINGS, files_of
from tapeout.guard.safetensors import read_header
from tapeout.guard.settings import check_settings
from tapeout.guard.zip import unzip
from tapeout.retrieval.errors import UnusableEmbedder

MODULES, WEIGHTS = "modules.json", "model.safetensors"
KEPT = re.compile(
    r"modules\.json|config\.json|config_sentence_transformers\.json|sentence_bert_config\.json|model\.safetensors"
    r"|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|vocab\.txt|vocab\.json|merges\.txt"
    r"|[0-9]_(Pooling|Normalize)/config\.json|README\.md|LICENSE|train_log\.json"
)
"""Files of a model that retrieval keeps."""
TYPE = re.compile(r"sentence_transformers(\.\w+)*\.(Transformer|Pooling|Normalize)")
PARTS = ("Transformer", "Pooling", "Normalize")


def unpack_embedder(source: Path, output: Path) -> None:
    """Write the model of a source into the new folder ``output``, without other files.

    Args:
        source: folder of a model, or of one wheel or zip that contains a model.
        output: folder to make.

    Raises:
        UnusableEmbedder: the source has no model, several, or one that is not of the supported form.
        UnusableModel: a file is damaged, or could run code.
    """
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        archives = sorted(path for path in source.glob("*") if path.suffix in (".whl", ".zip"))
        for archive in archives:
            unzip(archive, Path(scratch) / archive.stem)
        folders = sorted(path.parent for root in (source, Path(scratch)) for path in root.rglob(MODULES))
        if len(folders) != 1:
            raise UnusableEmbedder(
                f"The source {source.name} has {len(folders)} files {MODULES}, and an embedding model has one.",
                "Name a source with one model of sentence-transformers under retrieval.embedder.source.",
            )
        output.mkdir()
        for name in files_of(folders[0]):
            if KEPT.fullmatch(name):
                (output / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(folders[0] / name, output / name)
    check_embedder(output)


def check_embedder(folder: Path) -> None:
    """Check a model before the library reads it.

    Raises:
        UnusableEmbedder: it is not a transformer with pooling and, perhaps, normalization.
        UnusableModel: a file is damaged, is of an unknown kind, or could run code.
    """
    for name in files_of(folder):
        if not KEPT.fullmatch(name):
            raise UnusableModel(f"{folder.name} contains {name}, which is not a file of such a model.", "Remove it.")
    for name in (*SETTINGS, "sentence_bert_config.json", "config_sentence_transformers.json"):
        if (folder / name).exists():
            check_settings(folder / name)
    read_header(folder / WEIGHTS)
    modules: Any = orjson.loads((folder / MODULES).read_bytes())
    types = [str(module.get("type", "")) for module in modules] if isinstance(modules, list) else []
    if tuple(name.rpartition(".")[2] for name in types) not in (PARTS, PARTS[:2]) or not all(
        map(TYPE.fullmatch, types)
    ):
        raise UnusableEmbedder(
            f"{folder.name} consists of {', '.join(types) or 'nothing'}; supported are {', '.join(PARTS)}.",
            "Choose a model that needs no other module.",
        )


def open_embedder(folder: Path, threads: int) -> Any:
    """Return a checked model, in evaluation mode on the CPU; PyTorch is set to give the same bits each time."""
    import torch
    from sentence_transformers import SentenceTransformer

    check_embedder(folder)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    return SentenceTransformer(str(folder.resolve()), device="cpu", local_files_only=True)
