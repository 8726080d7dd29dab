"""Write an exported Hugging Face folder as a GGUF file, the format of llama.cpp.

Matrices keep their type or get another one of floats; norms and biases become 32-bit floats, as in the files of
llama.cpp's own converter. ``tapeout.deploy.gguf_check`` compares the file with the folder.
"""

import json
import math
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy
import torch
import yaml
from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType
from torch import Tensor

from tapeout import plugins
from tapeout.config.base import SEAM
from tapeout.deploy.model_card import CARD, FENCE
from tapeout.encoder.gguf import tokenizer_fields
from tapeout.encoder.load import load_encoder
from tapeout.guard.errors import UnusableModel
from tapeout.models import gguf_rotary
from tapeout.models.changed_model import empty_model
from tapeout.models.family import family_of
from tapeout.models.gguf_layout import Layout
from tapeout.models.huggingface import checked_config
from tapeout.models.weights_folder import FolderWeights

Kind = GGMLQuantizationType
TYPES = {"f32": (torch.float32, Kind.F32), "f16": (torch.float16, Kind.F16), "bf16": (torch.bfloat16, Kind.BF16)}
FILE_TYPES = {"f32": LlamaFileType.ALL_F32, "f16": LlamaFileType.MOSTLY_F16, "bf16": LlamaFileType.MOSTLY_BF16}
WIDER = {"f16": ("bf16", "f32"), "bf16": ("f32",)}
"""Types that hold larger numbers than a type does."""
INCOMPLETE = "Build export/hf again; if that does not help, report it."
STOPS = ("eot", "eom")
"""Fields of ids besides ``eos`` with which llama.cpp ends an answer."""


def write_gguf(folder: Path, output: Path, kind: str | None = None) -> None:
    """Write the file; equal folders give equal bytes.

    Args:
        folder: the exported model.
        output: new file.
        kind: type of the matrices, a key of ``TYPES``; None for that of the folder.

    Raises:
        UnusableModel: llama.cpp does not have this architecture, a weight is no number or does not fit the type, or the
            folder lacks what a file states: a licence, where an answer ends, a chat template.
        InvalidVocabulary: llama.cpp does not have this kind of tokenizer.
    """
    part = output.with_name(f".{output.name}.part")
    try:
        _write(folder, part, kind or type_of(folder))
        part.chmod(0o644)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _write(folder: Path, output: Path, kind: str) -> None:
    """Write the file, see ``write_gguf``; an error leaves a part of it."""
    layout, config, weights = layout_of(folder), checked_config(folder).to_dict(), FolderWeights(folder)
    _check_shapes(folder, weights)
    fields = metadata(folder, layout, config, kind)
    with closing(GGUFWriter(output, layout.architecture)) as writer:
        for name, value in fields.items():
            _add(writer, name, value)
        _write_tensors(writer, weights, layout, config, kind)


def _check_shapes(folder: Path, weights: FolderWeights) -> None:
    """Compare names and shapes of the tensors with those of the configuration's model.

    Raises:
        UnusableModel: one is missing or unknown, or has another shape.
    """
    model = empty_model(family_of(folder).model_class(), checked_config(folder))
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tied = set(model._tied_weights_keys or ()) if model.config.tie_word_embeddings else set()
    found = {name: tuple(weights.entries[name].tensor.shape) for name in weights}
    for name in sorted((expected.keys() - tied) | found.keys()):
        if found.get(name) != expected.get(name):
            raise UnusableModel(
                f"The tensor {name} {_shape(found.get(name))}, and in the model of config.json it "
                f"{_shape(expected.get(name))}.",
                INCOMPLETE,
            )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "is missing" if shape is None else f"has the shape {list(shape)}"


def _write_tensors(
    writer: GGUFWriter, weights: FolderWeights, layout: Layout, config: Mapping[str, Any], kind: str
) -> None:
    names = sorted(weights)
    for name in names:
        shape = weights.entries[name].tensor.shape
        dtype, stored = stored_type(kind, len(shape))
        in_bytes = (*shape[:-1], shape[-1] * dtype.itemsize)  # NumPy has no bfloat16
        writer.add_tensor_info(_stored_name(layout, name), in_bytes, numpy.dtype("uint8"), math.prod(in_bytes), stored)
    scaled = gguf_rotary.divisors(config)
    if scaled is not None:
        writer.add_tensor_info(gguf_rotary.TENSOR, scaled.shape, scaled.dtype, scaled.nbytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name in names:
        tensor = converted(name, weights[name], layout, config, kind)
        writer.write_tensor_data(tensor.contiguous().view(torch.uint8).numpy())
    if scaled is not None:
        writer.write_tensor_data(scaled)


def layout_of(folder: Path) -> Layout:
    """Return the layout in a GGUF file of a model's family.

    Raises:
        UnusableModel: the family has none.
    """
    family = family_of(folder)
    name = getattr(family, "__name__", "")
    if not plugins.ROOT.joinpath(*name.split("."), "gguf.py").is_file():
        raise UnusableModel(
            f"The model family {name} has no module gguf, which states its layout in a GGUF file.",
            "Serve the folder export/hf instead, or write the module (docs/deploy.md).",
        )
    layout: Layout = plugins.load(SEAM, f"{name}.gguf").LAYOUT
    return layout


def type_of(folder: Path) -> str:
    """Return the type of a folder's matrices, a key of ``TYPES``."""
    dtype = checked_config(folder).torch_dtype or torch.float32
    return next(name for name, (known, _) in TYPES.items() if known == dtype)


def metadata(folder: Path, layout: Layout, config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return all fields of the file, in the order in which they are written."""
    fields = {f"{layout.architecture}.{name}": value for name, value in layout.fields(config).items()}
    vocabulary = tokenizer_fields(folder, config["vocab_size"])
    return {
        "general.type": "model",
        "general.name": "Tapeout export/hf",
        **_licence(folder),
        "general.file_type": int(FILE_TYPES[kind]),
        **fields,
        **{f"tokenizer.ggml.{name}": value for name, value in vocabulary.items()},
        **_stops(folder, config["vocab_size"]),
        "tokenizer.chat_template": templates(folder)["default"],
    }


def converted(name: str, tensor: Tensor, layout: Layout, config: Mapping[str, Any], kind: str) -> Tensor:
    """Return a tensor of the folder as the file has it.

    Raises:
        UnusableModel: a weight is NaN or infinite, or too large for the type.
    """
    if not bool(tensor.isfinite().all()):
        raise UnusableModel(
            f"A weight of {name} is NaN or infinite.", "Train the model again; its weights are of no use."
        )
    dtype, _ = stored_type(kind, tensor.dim())
    result: Tensor = layout.stored(name, tensor.float(), config).to(dtype)
    if not bool(result.isfinite().all()):
        others = " or ".join(WIDER[kind])
        raise UnusableModel(
            f"A weight of {name} is too large for the type {kind}.", f"Set export.gguf_dtype to {others}."
        )
    return result


def stored_type(kind: str, dimensions: int) -> tuple[torch.dtype, GGMLQuantizationType]:
    """Return the type of a tensor in the file: that of the matrices, or 32-bit floats."""
    return TYPES[kind if dimensions > 1 else "f32"]


def _stored_name(layout: Layout, name: str) -> str:
    try:
        return layout.stored_name(name)
    except KeyError as error:
        raise UnusableModel(
            f"The tensor {name} has no name in a GGUF file of the architecture {layout.architecture}.",
            "Serve the folder export/hf instead.",
        ) from error


def _add(writer: GGUFWriter, name: str, value: Any) -> None:
    kinds = {str: writer.add_string, bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32}
    kinds.get(type(value), writer.add_array)(name, value)


def _licence(folder: Path) -> dict[str, str]:
    """Return the fields of the licence that the model card states.

    Raises:
        UnusableModel: there is no card, or it has no metadata.
    """
    path = folder / CARD
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    try:
        stated = yaml.safe_load(text.split(FENCE)[1]) if text.startswith(FENCE) else None
    except yaml.YAMLError:
        stated = None
    if not isinstance(stated, dict):
        raise UnusableModel(f"The model has no card with metadata, {CARD}.", INCOMPLETE)
    names = {"license": "general.license", "license_name": "general.license.name"}
    return {field: stated[name] for name, field in names.items() if name in stated}


def generation(folder: Path) -> dict[str, Any]:
    """Return the settings of generation of an exported model.

    Raises:
        UnusableModel: it has none.
    """
    return _settings(folder / "generation_config.json")


def _settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        settings = None
    if not isinstance(settings, dict):
        raise UnusableModel(f"The model has no valid {path.name}.", INCOMPLETE)
    return settings


def _stops(folder: Path, vocabulary: int) -> dict[str, int]:
    """Return the fields of the tokens that end an answer, besides the tokenizer's own ``eos``.

    Raises:
        UnusableModel: there is none, one is no id of the vocabulary, or a file has no fields for so many.
    """
    given = generation(folder).get("eos_token_id")
    ids = given if isinstance(given, list) else [given]
    if not ids or any(type(index) is not int or not 0 <= index < vocabulary for index in ids):
        raise UnusableModel(
            f"Answers end with {json.dumps(given)} according to generation_config.json, which are no token ids of a "
            f"vocabulary of {vocabulary}.",
            INCOMPLETE,
        )
    others = sorted({*ids} - {load_encoder(folder).eos})
    if len(others) > len(STOPS):
        raise UnusableModel(
            f"Answers end with {len(others) + 1} different tokens, and a GGUF file has fields for {len(STOPS) + 1}.",
            "Serve the folder export/hf instead.",
        )
    return {f"tokenizer.ggml.{name}_token_id": index for name, index in zip(STOPS, others, strict=False)}


def templates(folder: Path) -> dict[str, str]:
    """Return the chat templates by name; a single one is the default.

    Raises:
        UnusableModel: there is no default one.
    """
    stored = _settings(folder / "tokenizer_config.json").get("chat_template")
    entries = stored if isinstance(stored, list) else [{"name": "default", "template": stored}]
    found: dict[Any, Any] = {entry.get("name"): entry.get("template") for entry in entries if isinstance(entry, dict)}
    if not isinstance(found.get("default"), str) or not all(isinstance(text, str) for text in found.values()):
        raise UnusableModel("tokenizer_config.json of the model has no chat template.", INCOMPLETE)
    return found
