"""Model folders: an exact list of files, each checked before anything of PyTorch, NeMo or Hugging Face reads it."""

import re
from pathlib import Path

from tapeout.guard.context import CONTEXT, check_context
from tapeout.guard.errors import UnusableModel, refuse
from tapeout.guard.names import MAX_MEMBERS, plain_name
from tapeout.guard.safetensors import read_header
from tapeout.guard.saved import Tensor, check_saved
from tapeout.guard.settings import check_model_yaml, check_settings
from tapeout.guard.weights import PART, Entry, check_weights

WEIGHTS = "weights"
TEXT = r"[A-Za-z0-9_.-]+\.(json|jsonl|txt|md|jinja|yaml)|LICENSE|NOTICE|\.gitattributes"
TOKENIZER = r"tokenizer\.model|tekken\.json|merges\.txt|vocab\.json"
NEMO_MEMBERS = re.compile(
    rf"{TEXT}|{CONTEXT}/(io\.json|model\.yaml|artifacts/generation_config\.json"
    rf"|nemo_tokenizer/({TEXT}|{TOKENIZER}))|{WEIGHTS}/(\.metadata|metadata\.json|common\.pt|{PART.pattern})"
)
HUGGINGFACE_MEMBERS = re.compile(rf"{TEXT}|{TOKENIZER}|base\.model|[A-Za-z0-9_.-]+\.safetensors")
MAX_TOKENIZER = 1 << 27
SETTINGS = ("config.json", "generation_config.json", "tokenizer_config.json", "tokenizer.json")
"""Files of a Hugging Face folder, and of the tokenizer of a checkpoint, that libraries take settings from."""
SHARDS = "model.safetensors.index.json"


def files_of(folder: Path) -> list[str]:
    """Return the relative paths of all files in a folder, sorted.

    Raises:
        UnusableModel: it is no folder, or contains a link or something else that is not a plain file.
    """
    if not folder.is_dir():
        raise UnusableModel(f"{folder} is not a folder.", "Give a model folder.")
    names = []
    for path in sorted(folder.rglob("*")):
        name = plain_name(path.relative_to(folder).as_posix(), folder.name)
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise refuse(folder.name, f"contains {name!r}, which is not a plain file")
        if path.is_file():
            names.append(name)
        if len(names) > MAX_MEMBERS:
            raise refuse(folder.name, f"has more than {MAX_MEMBERS:,} files")
    return names


def check_checkpoint(folder: Path) -> dict[str, Entry]:
    """Check a whole NeMo-2 checkpoint folder, before NeMo, Megatron or Fiddle reads it.

    Returns:
        its tensors and values, by Megatron's names.

    Raises:
        UnusableModel: it has another file than a checkpoint has, or one of its files may run code, or is damaged.
    """
    names = _allowed(folder, NEMO_MEMBERS)
    check_context(folder)
    if f"{CONTEXT}/model.yaml" in names:
        check_model_yaml(folder / CONTEXT / "model.yaml")
    check_tokenizer(folder / CONTEXT / "nemo_tokenizer")
    if f"{CONTEXT}/artifacts/generation_config.json" in names:
        check_settings(folder / CONTEXT / "artifacts" / "generation_config.json")
    check_saved(folder / WEIGHTS / "common.pt", f"{folder.name}/{WEIGHTS}/common.pt")
    return check_weights(folder / WEIGHTS)


def check_huggingface(folder: Path) -> dict[str, Tensor]:
    """Check a whole Hugging Face folder, before transformers reads it.

    Returns:
        its tensors by name.

    Raises:
        UnusableModel: it has files other than safetensors, settings and a tokenizer, or settings that run code.
    """
    names = _allowed(folder, HUGGINGFACE_MEMBERS)
    check_settings(folder / "config.json")
    check_tokenizer(folder)
    weights = [name for name in names if name.endswith(".safetensors")]
    tensors: dict[str, Tensor] = {}
    for name in weights:
        header, _ = read_header(folder / name)
        if repeated := tensors.keys() & header.keys():
            raise refuse(folder.name, f"has the tensor {min(repeated)} twice")
        tensors |= header
    if not tensors:
        raise UnusableModel(f"{folder.name} has no safetensors file.", "Convert its weights to safetensors first.")
    if SHARDS in names:
        placed = check_settings(folder / SHARDS).get("weight_map")
        if (
            not isinstance(placed, dict)
            or placed.keys() != tensors.keys()
            or not all(file in weights for file in placed.values())
        ):
            raise UnusableModel(f"{folder.name}/{SHARDS} does not fit the files beside it.", "Fetch the model again.")
    return tensors


def check_tokenizer(folder: Path) -> None:
    """Check the settings and files of a tokenizer: no code of its own, no file of unreasonable size.

    Raises:
        UnusableModel: names the file.
    """
    for name in SETTINGS:
        if (folder / name).exists():
            check_settings(folder / name)
    for path in sorted(folder.glob("*.model")):
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MAX_TOKENIZER:
            raise refuse(path.name, f"is not a plain file of at most {MAX_TOKENIZER:,} bytes")


def _allowed(folder: Path, members: re.Pattern[str]) -> list[str]:
    names = files_of(folder)
    for name in names:
        if not members.fullmatch(name):
            raise UnusableModel(
                f"{folder.name} contains {name}, which is not a file of such a model.",
                "Remove the file if the model does not need it; weights must be safetensors.",
            )
    return names
