"""Check a Hugging Face folder against the configuration, and copy it byte for byte.

The checks read config.json, the tokenizer and the headers of the weights' files, so that a wrong model is refused in
seconds, whatever its size. Nothing in the folder is executed: no Python and no pickle is taken, only safetensors.
"""

import json
import math
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from tapeout.config.base import ImportJob
from tapeout.data.io.archives import archive_errors, is_archive, members
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tapeout.guard.folders import check_tokenizer
from tapeout.guard.settings import check_settings
from tapeout.models.carried import check_carried, check_vocabulary, special_ids
from tapeout.models.config_fields import dtype_of
from tapeout.models.family import Family, load_family
from tapeout.models.layout import EMBEDDING
from tapeout.models.tokenizer_file import UnusableModel
from tapeout.models.weights_folder import INDEX, WHOLE, FolderWeights

TAKEN = (
    *("config.json", "generation_config.json", INDEX, "*.safetensors"),
    *("tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "chat_template.jinja", "LICENSE*", "NOTICE*", "USE_POLICY*"),
)
"""Files that are copied, by pattern; any other is left out."""


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
        weights = _weight_files(folder)
        for path in sorted(folder.iterdir()):
            is_taken = any(fnmatchcase(path.name, pattern) for pattern in TAKEN)
            if path.is_file() and is_taken and (path.suffix != ".safetensors" or path.name in weights):
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


def _weight_files(folder: Path) -> set[str]:
    """Return the names of the files of weights; others may lie there, such as the weights in the vendor's layout."""
    if not (folder / INDEX).is_file():
        return {WHOLE}
    return set(json.loads((folder / INDEX).read_bytes())["weight_map"].values())


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
    return any(fnmatchcase(name.name, pattern) for pattern in TAKEN)


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
    _check_generation(folder, config.vocab_size)
    weights = FolderWeights(folder)
    dtype = _check_weights(weights, config, job, _copies(weights, config, family))
    return {
        "dtype": dtype,
        "padding_rows": config.vocab_size - encoder.size,
        "parameters": job.architecture.parameter_count(config.vocab_size),
        "rows": config.vocab_size,
        "tensors": len(weights),
        "tokenizer": job.tokenizer,
        "vocabulary": encoder.size,
        "weights": sorted({entry.file.name for entry in weights.entries.values()}),
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
    except (TypeError, ValueError, LookupError, AttributeError) as error:
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


def _check_generation(folder: Path, rows: int) -> None:
    """Check the settings of generation, which later steps read together with the weights."""
    from transformers import GenerationConfig

    name = "generation_config.json"
    if not (folder / name).is_file():
        return
    try:
        settings = GenerationConfig.from_dict(check_settings(folder / name))
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise UnusableModel(f"{name} cannot be read: {error}.", "Correct or remove it.") from error
    for field, value in special_ids(settings).items():
        ids = value if isinstance(value, list) and field == "eos_token_id" else [value]
        none = (None, -1) if field == "pad_token_id" else (None,)
        if not all(one in none or (type(one) is int and 0 <= one < rows) for one in ids):
            raise UnusableModel(
                f"{name} has {field} {value!r}, and the model has {rows:,} rows.", "Correct or remove it."
            )


def _copies(weights: FolderWeights, config: Any, family: Family) -> set[str]:
    """Return the names of tensors that repeat a tied embedding; every reader takes the embedding instead.

    Raises:
        UnusableModel: such a tensor is not a copy.
    """
    copies = weights.keys() & set(family.model_class()._tied_weights_keys or ())
    if not config.tie_word_embeddings or not copies:
        return set()
    embedding = next(part.sources[0] for part in family.parts(config) if part.megatron == EMBEDDING)
    for name in sorted(copies):
        if not bool((weights[name] == weights[embedding]).all()):
            raise UnusableModel(
                f"config.json has tie_word_embeddings true, but {name} differs from {embedding}.",
                "Set tie_word_embeddings to false if the model was trained with both.",
            )
    return copies


def _check_weights(weights: FolderWeights, config: Any, job: ImportJob, copies: Collection[str]) -> str:
    """Compare the headers with the configuration of the model, and return the type of the weights.

    Args:
        weights: the weights.
        config: the configuration of the model.
        job: what the section base states.
        copies: names of tensors that count once.
    """
    tensors = {name: entry.tensor for name, entry in weights.entries.items()}
    dtypes = sorted({tensor.dtype for tensor in tensors.values()})
    stated = str(dtype_of(config)).removeprefix("torch.")
    if dtypes != [stated]:
        raise UnusableModel(
            f"The weights have the type {' and '.join(dtypes)}, and config.json states torch_dtype {stated}.",
            "Use a model with one type of numbers, which config.json states.",
        )
    count = sum(math.prod(tensor.shape) for name, tensor in tensors.items() if name not in copies)
    expected = job.architecture.parameter_count(config.vocab_size)
    if count != expected:
        raise UnusableModel(
            f"The weights are {count:,} numbers, and the architecture has {expected:,} of them.",
            "Use a complete model of this architecture.",
        )
    return stated
