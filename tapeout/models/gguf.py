"""Convert a GGUF file to a Hugging Face folder with 32-bit floats and its tokenizer.

Weights are dequantized one tensor at a time, so that memory is bounded by the size of a shard. The family's module
``gguf`` knows names and layout; the rest is the same for all families.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tapeout import plugins
from tapeout.config.base import SEAM, ImportJob
from tapeout.data.io.archives import archive_errors, is_archive, members
from tapeout.encoder.gguf import tokenizer_files
from tapeout.guard.gguf import read_header
from tapeout.models import gguf_rotary
from tapeout.models.gguf_layout import Layout
from tapeout.models.import_folder import write_report
from tapeout.models.tokenizer_file import UnusableModel

if TYPE_CHECKING:
    from gguf import GGUFReader, ReaderTensor

SHARD_BYTES = 2_000_000_000
"""Maximum bytes of a file of weights, as long as each tensor is smaller."""

DAMAGED = (ValueError, IndexError, KeyError, TypeError, OverflowError, OSError)
"""Exceptions of the library for a truncated or inconsistent file."""


def import_gguf(source: Path, output: Path, job: ImportJob) -> None:
    """Convert the file ``job.path`` of a fetched source to the new folder ``output``, with import.json, a report.

    Raises:
        UnusableModel: there is no such file; see also ``convert_gguf`` and ``import_folder.check_folder``.
        UnreadableFile: the archive in the source is damaged.
    """
    with _file_in(source, job.path) as file:
        report = convert_gguf(file, job.family_module, output)
    write_report(output, job, {"gguf": report})


@contextmanager
def _file_in(source: Path, path: str) -> Iterator[Path]:
    """Yield a file of a source: in its folder, or unpacked from the one archive there."""
    if path and (source / path).is_file():
        yield source / path
        return
    archives = [file for file in sorted(source.iterdir()) if file.is_file() and is_archive(file)]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / PurePosixPath(path or "none").name
        for archive in archives:
            with archive_errors(archive):
                for _, stream in members(archive, lambda name, _: name == path):
                    with file.open("wb") as copy:
                        shutil.copyfileobj(stream, copy, 1 << 20)
        if not file.is_file():
            raise UnusableModel(
                f"The source {source.name} has no file {path or 'named in base.path'}, neither in its folder nor in an "
                "archive.",
                "Set base.path to the path of the .gguf file.",
            )
        yield file


def convert_gguf(file: Path, family: str, output: Path, shard_bytes: int = SHARD_BYTES) -> dict[str, Any]:
    """Write a Hugging Face folder.

    Args:
        file: the GGUF file.
        family: dotted name of the model family's module.
        output: new folder.
        shard_bytes: maximum bytes of a file of weights.

    Returns:
        a report: format, number of tensors by quantization, licence and name that the file states.

    Raises:
        UnusableModel: the file is damaged or hostile, of another family, or has a field or tensor that would be lost.
    """
    layout: Layout = plugins.load(SEAM, f"{family}.gguf").LAYOUT
    reader = open_gguf(file)
    try:
        fields = {name: field.contents() for name, field in reader.fields.items()}
        tensors = {tensor.name: tensor for tensor in reader.tensors}
    except DAMAGED as error:
        raise _damaged(file, error) from error
    architecture = fields.get("general.architecture")
    if architecture != layout.architecture:
        raise UnusableModel(
            f"{file.name} is a model of the architecture {architecture!r}, not {layout.architecture!r}.",
            "Name the model's family in base.family.",
        )
    files = tokenizer_files(fields)
    config = _config(file, fields, layout, tied="output.weight" not in tensors)
    if layout.scaled and (scaled := tensors.pop(gguf_rotary.TENSOR, None)) is not None:
        config["rope_scaling"] = gguf_rotary.scaling_of(scaled.data, config)
    output.mkdir()
    for name, content in files.items():
        (output / name).write_bytes(content)
    (output / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (output / "generation_config.json").write_text(
        json.dumps({key: config[key] for key in ("bos_token_id", "eos_token_id") if key in config}, indent=2) + "\n"
    )
    _write_weights(output, _tensors(file, tensors, layout, config), shard_bytes)
    kinds = [tensor.tensor_type.name for tensor in tensors.values()]
    return {
        "version": int(fields["GGUF.version"]),
        "name": fields.get("general.name"),
        "licence": fields.get("general.license"),
        "tensors": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
    }


def open_gguf(file: Path) -> "GGUFReader":
    """Return the library's reader of a file, after the guard's check.

    Raises:
        UnusableModel: the file is damaged or hostile.
    """
    from gguf import GGUFReader

    read_header(file)  # the library believes every number in it
    try:
        return GGUFReader(file)
    except DAMAGED as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> UnusableModel:
    return UnusableModel(f"{file.name} cannot be read: {error or type(error).__name__}.", "Fetch the file again.")


def _config(file: Path, fields: Mapping[str, Any], layout: Layout, tied: bool) -> dict[str, Any]:
    """Return config.json; decimals of 32-bit floats are the shortest that give the same float."""
    import numpy

    prefix = f"{layout.architecture}."
    own = {name.removeprefix(prefix): value for name, value in fields.items() if name.startswith(prefix)}
    unknown = sorted(own.keys() - layout.carried)
    if unknown:
        raise UnusableModel(
            f"{file.name} has the field {prefix}{unknown[0]}, {own[unknown[0]]!r}, which would be lost.",
            "Convert the original Hugging Face model instead.",
        )
    own = {name: float(str(numpy.float32(value))) if isinstance(value, float) else value for name, value in own.items()}
    ids = {
        f"{role}_token_id": fields[f"tokenizer.ggml.{name}_token_id"]
        for name, role in (("bos", "bos"), ("eos", "eos"), ("padding", "pad"))
        if f"tokenizer.ggml.{name}_token_id" in fields
    }
    size = {"vocab_size": len(fields["tokenizer.ggml.tokens"]), "torch_dtype": "float32"}
    try:
        return {**layout.config(own, tied), **size, **ids}
    except KeyError as error:
        raise UnusableModel(f"{file.name} lacks the field {prefix}{error.args[0]}.", "Use another file.") from error
    except ValueError as error:
        raise UnusableModel(f"In {file.name} the field {prefix}{error}.", "Name the model's own family.") from error


def _tensors(
    file: Path, tensors: "Mapping[str, ReaderTensor]", layout: Layout, config: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yield the Hugging Face name and the values [rows, columns], or [rows], of each tensor, sorted by name."""
    import numpy
    from gguf.quants import dequantize

    names: dict[str, str] = {}
    for name in tensors:
        try:
            other = names.setdefault(layout.name_of(name), name)
        except (KeyError, ValueError) as error:
            raise UnusableModel(
                f"{file.name} has the tensor {name}, which this family does not have.", "Name the model's own family."
            ) from error
        if other != name:
            raise UnusableModel(f"{file.name} has the tensor {name} twice, also as {other}.", "Do not trust this file.")
    for name in sorted(names):
        tensor = tensors[names[name]]
        try:
            values = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32, copy=False)
            values = values.reshape([int(size) for size in reversed(tensor.shape)])
            yield name, numpy.ascontiguousarray(layout.restored(name, values, config))
        except (*DAMAGED, NotImplementedError) as error:  # the second: a quantization that the library cannot read
            raise UnusableModel(
                f"The tensor {names[name]} ({tensor.tensor_type.name}) of {file.name} cannot be read: {error}.",
                "Use a file with another quantization, or fetch it again.",
            ) from error


def _write_weights(output: Path, tensors: Iterator[tuple[str, Any]], shard_bytes: int) -> None:
    """Write safetensors files of at most ``shard_bytes``, and an index if there are several."""
    from safetensors.numpy import save_file

    shards: list[list[str]] = []
    current: dict[str, Any] = {}
    total = 0

    def write() -> None:
        save_file(current, output / f"{len(shards)}.safetensors", metadata={"format": "pt"})
        shards.append(sorted(current))
        current.clear()

    for name, values in tensors:
        if current and sum(value.nbytes for value in current.values()) + values.nbytes > shard_bytes:
            write()
        current[name] = values
        total += values.nbytes
    write()
    count = len(shards)
    final = [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]
    final = ["model.safetensors"] if count == 1 else final
    for number, name in enumerate(final):
        (output / f"{number}.safetensors").rename(output / name)
        (output / name).chmod(0o644)
    if count > 1:
        places = {name: file for file, names in zip(final, shards, strict=True) for name in names}
        index = {"metadata": {"total_size": total}, "weight_map": places}
        (output / "model.safetensors.index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")
