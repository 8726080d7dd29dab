"""Check a Hugging Face folder against the configuration, and copy it byte for byte.

The checks read config.json, the tokenizer and the headers of the weights' files, so that a wrong model is refused in
seconds, whatever its size. Nothing in the folder is executed: no Python and no pickle is taken, only safetensors.
"""

import json
import math
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors import SafetensorError, safe_open

from tapeout.config.base import ImportJob
from tapeout.data.io.archives import archive_errors, is_archive, members
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tapeout.guard.folders import check_tokenizer
from tapeout.guard.settings import check_settings
from tapeout.models.carried import check_carried, check_vocabulary
from tapeout.models.family import Family, load_family
from tapeout.models.layout import EMBEDDING
from tapeout.models.tokenizer_file import UnusableModel
from tapeout.models.weights_folder import FolderWeights

INDEX = "model.safetensors.index.json"
TAKEN = (
    *("config.json", "generation_config.json", INDEX, "*.safetensors"),
    *("tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "chat_template.jinja", "LICENSE*", "NOTICE*", "USE_POLICY*"),
)
"""Files that are copied, by pattern; any other is left out."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
BUFFERS = ("*.rotary_emb.inv_freq",)
"""Tensors of old checkpoints that follow from the configuration and that no reader takes."""
DTYPES = {"BF16": "bfloat16", **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)}}


@dataclass(frozen=True)
class Header:
    """Contents of the headers of the weights' files.

    Attributes:
        files: names of the files, sorted.
        shapes: shape of each tensor.
        dtypes: names of the types of numbers, as config.json has them, sorted.
    """

    files: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: tuple[str, ...]


def import_folder(source: Path, output: Path, job: ImportJob) -> None:
    """Check the model in a fetched source, and copy it to the new folder ``output`` with import.json, a report.

    Raises:
        UnusableModel: the model is incomplete, unsafe, or another one than the configuration states; the message lists
            all fields that differ.
        UnreadableFile: the archive in the source is damaged.
    """
    with opened(source, job.path) as folder:
        report = check_folder(folder, job)
        output.mkdir()
        for path in sorted(folder.iterdir()):
            if path.is_file() and any(fnmatchcase(path.name, pattern) for pattern in TAKEN):
                shutil.copyfile(path, output / path.name)
        _write_json(output / "import.json", report)


def nemo_model(source: Path, path: str) -> Path:
    """Return the ``.nemo`` archive or checkpoint folder ``path`` of a fetched source, or the only one there.

    Raises:
        UnusableModel: there is none, or there are several.
    """
    if path or (source / "context").is_dir() or (source / "model_config.yaml").is_file():
        found = [source / path] if (source / path).exists() else []
    else:
        found = sorted(file for file in source.iterdir() if file.suffix in (".nemo", ".tar"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(file.name for file in source.iterdir()))
    raise UnusableModel(
        f"The source {source.name} has {'several models' if found else 'no model'} of NeMo (files: {names}).",
        "Name the .nemo archive or the checkpoint folder in base.path.",
    )


def write_report(folder: Path, job: ImportJob, found: dict[str, Any]) -> None:
    """Check a Hugging Face folder that a model was converted to, and write import.json.

    Args:
        folder: the folder.
        job: what the configuration states.
        found: what the conversion reports, by the name of the format.

    Raises:
        UnusableModel: see ``import_folder``.
    """
    _write_json(folder / "import.json", {**check_folder(folder, job), **found})


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


@contextmanager
def opened(source: Path, path: str) -> Iterator[Path]:
    """Yield the folder ``path`` of a fetched source: there, or unpacked from the one archive there.

    Raises:
        UnusableModel: there is no such folder.
        UnreadableFile: the archive cannot be read.
    """
    archives = [file for file in sorted(source.iterdir()) if file.is_file() and is_archive(file)]
    if (source / path / "config.json").is_file() or len(archives) != 1:
        if not (source / path / "config.json").is_file():
            raise UnusableModel(
                f"The source {source.name} has no config.json in {path or 'its folder'}.",
                "Set base.source to a source with a Hugging Face folder, and base.path to the folder inside it.",
            )
        yield source / path
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with archive_errors(archives[0]):
            for name, stream in members(archives[0], lambda name, _: _is_taken(name, path)):
                with open(folder / PurePosixPath(name).name, "wb") as file:
                    shutil.copyfileobj(stream, file, 1 << 20)
        if not (folder / "config.json").is_file():
            raise UnusableModel(
                f"The archive {archives[0].name} has no config.json in {path or 'its top folder'}.",
                "Set base.path to the model's folder inside the archive.",
            )
        yield folder


def _is_taken(member: str, folder: str) -> bool:
    """Return whether a member of an archive is a file of the model, directly in ``folder``."""
    name = PurePosixPath(member)
    if name.parent != PurePosixPath(folder):
        return False
    return any(fnmatchcase(name.name, pattern) for pattern in (*TAKEN, *PICKLES))


def check_folder(folder: Path, job: ImportJob) -> dict[str, Any]:
    """Check a Hugging Face folder, and return the report about it.

    Rows: the embedding has at least as many as the vocabulary has pieces. Rows beyond the last piece are padding, to
    which no text leads; they are copied and counted in the report.

    Raises:
        UnusableModel: see ``import_folder``.
    """
    family = load_family(job.family)
    given = check_settings(folder / "config.json")
    check_tokenizer(folder)
    if given.get("model_type") != family.MODEL_TYPE:
        raise UnusableModel(
            f"config.json has model_type {given.get('model_type')!r}; that of family {job.family} is "
            f"{family.MODEL_TYPE!r}.",
            "Name the model's family in base.family; docs/extending.md says how to add one.",
        )
    encoder = _vocabulary(folder, job.tokenizer)
    config = _check_architecture(given, family, job, encoder)
    header = read_header(folder)
    _check_weights(header, config, job, _copies(folder, header, config, family))
    return {
        "dtype": header.dtypes[0],
        "padding_rows": config.vocab_size - encoder.size,
        "parameters": job.architecture.parameter_count(config.vocab_size),
        "rows": config.vocab_size,
        "tensors": len(header.shapes),
        "tokenizer": job.tokenizer,
        "vocabulary": encoder.size,
        "weights": list(header.files),
    }


def _vocabulary(folder: Path, name: str) -> Encoder:
    if not (folder / name).is_file():
        found = [other for other in ("tokenizer.model", "tokenizer.json") if (folder / other).is_file()]
        raise UnusableModel(
            f"The model has no {name}{f', but {found[0]}' if found else ''}.",
            f"Set tokenizer.model_file to {found[0]}." if found else "Add the tokenizer's file to the source.",
        )
    return load_encoder(folder / name)


def _check_architecture(given: dict[str, Any], family: Family, job: ImportJob, encoder: Encoder) -> Any:
    """Compare config.json with the configuration and the vocabulary, and return it as an object of transformers."""
    try:
        actual = family.model_class().config_class.from_dict(given)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UnusableModel(f"config.json cannot be read: {error}.", "Correct it, or use another model.") from error
    found = {"vocab_size": actual.vocab_size, **check_carried(actual, family).model_dump(mode="json")}
    stated = {"vocab_size": job.vocab_size, **job.architecture.model_dump(mode="json")}
    wrong = [name for name in found if found[name] != stated.get(name)]
    if wrong:
        raise UnusableModel(
            "config.json states another model than section base: "
            + "; ".join(f"{name} is {found[name]!r}, not {stated.get(name)!r}" for name in wrong)
            + ".",
            "If you want this model, write the values of config.json in base.architecture (and base.vocab_size); "
            "otherwise name another source in base.source.",
        )
    check_vocabulary(actual, encoder)
    return actual


def read_header(folder: Path) -> Header:
    """Read the headers of the safetensors files.

    Raises:
        UnusableModel: there is no such file, one is missing or damaged, or the index names other tensors.
    """
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if (folder / INDEX).is_file():
        listed: dict[str, str] = check_settings(folder / INDEX).get("weight_map", {})
        files = sorted(set(listed.values()))
    else:
        listed, files = {}, sorted(path.name for path in folder.glob("*.safetensors"))
    if not files:
        raise UnusableModel(
            f"The model has no safetensors files{f', but {pickles[0]}, which may contain code' if pickles else ''}.",
            "Use a revision of the model with safetensors files, or convert it where you trust it, with the method "
            "save_pretrained of transformers.",
        )
    missing = [name for name in files if "/" in name or not (folder / name).is_file()]
    if missing:
        cause = f"{INDEX} names {', '.join(missing)}, which the model does not have."
        raise UnusableModel(cause, "Add the missing files to the source.")
    if len(files) > 1 and not listed:
        cause = f"The model has {len(files)} safetensors files and no {INDEX}."
        raise UnusableModel(cause, "Add the index to the source.")
    shapes: dict[str, tuple[int, ...]] = {}
    dtypes, owners = set(), {}
    for name in files:
        try:
            with safe_open(folder / name, framework="numpy") as file:
                for tensor in file.offset_keys():
                    part = file.get_slice(tensor)
                    if any(fnmatchcase(tensor, pattern) for pattern in BUFFERS):
                        continue
                    shapes[tensor], owners[tensor] = tuple(part.get_shape()), name
                    dtypes.add(DTYPES.get(part.get_dtype(), part.get_dtype()))
        except (SafetensorError, OSError) as error:
            cause = f"{name} is not a complete safetensors file: {error}."
            raise UnusableModel(cause, "Fetch it again.") from error
    expected = {name: file for name, file in listed.items() if not any(fnmatchcase(name, one) for one in BUFFERS)}
    if listed and expected != owners:
        name = min(name for name in expected.keys() | owners.keys() if expected.get(name) != owners.get(name))
        raise UnusableModel(
            f"{INDEX} places the tensor {name} in {expected.get(name)}, and it is in {owners.get(name)}.",
            "Use files and index of one revision.",
        )
    return Header(tuple(files), shapes, tuple(sorted(dtypes)))


def _copies(folder: Path, header: Header, config: Any, family: Family) -> set[str]:
    """Return the names of tensors that repeat a tied embedding; every reader takes the embedding instead.

    Raises:
        UnusableModel: such a tensor is not a copy.
    """
    copies = header.shapes.keys() & set(family.model_class()._tied_weights_keys or ())
    if not config.tie_word_embeddings or not copies:
        return set()
    weights = FolderWeights(folder)
    embedding = next(part.sources[0] for part in family.parts(config) if part.megatron == EMBEDDING)
    for name in sorted(copies):
        if not bool((weights[name] == weights[embedding]).all()):
            raise UnusableModel(
                f"config.json has tie_word_embeddings true, but {name} differs from {embedding}.",
                "Set tie_word_embeddings to false if the model was trained with both.",
            )
    return copies


def _check_weights(header: Header, config: Any, job: ImportJob, copies: Collection[str]) -> None:
    """Compare the headers with the configuration of the model; ``copies`` are names of tensors that count once."""
    stated = str(config.torch_dtype).removeprefix("torch.")
    if header.dtypes != (stated,):
        raise UnusableModel(
            f"The weights have the type {' and '.join(header.dtypes)}, and config.json states torch_dtype {stated}.",
            "Use a model with one type of numbers, which config.json states.",
        )
    count = sum(math.prod(shape) for name, shape in header.shapes.items() if name not in copies)
    expected = job.architecture.parameter_count(config.vocab_size)
    if count != expected:
        raise UnusableModel(
            f"The weights are {count:,} numbers, and the architecture has {expected:,} of them.",
            "Use a complete model of this architecture.",
        )
