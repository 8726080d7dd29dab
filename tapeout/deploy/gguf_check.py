"""Export an exported model to a GGUF file, and prove that the file is the same model.

The file is read back as a base model would be: every field and tensor, the architecture, the special ids, the logits of
a fixed sequence, and the token ids of all test texts and prompts must be those of the folder.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from tapeout.config.export import ExportGgufJob
from tapeout.data.io.jsonl import read_texts
from tapeout.deploy.gguf import converted, generation, layout_of, metadata, stored_type, templates, type_of, write_gguf
from tapeout.deploy.huggingface import parity_ids
from tapeout.deploy.served_tokenizer import ends_of_answers
from tapeout.deploy.token_ids import check_prompts, read_sets, shape_of
from tapeout.encoder.fast_tokenizer import fast_tokenizer
from tapeout.encoder.load import load_encoder
from tapeout.models import gguf_rotary
from tapeout.models.family import Family, family_of
from tapeout.models.gguf import convert_gguf, open_gguf
from tapeout.models.gguf_layout import Layout
from tapeout.models.huggingface import checked_config, load_huggingface, load_weights
from tapeout.models.tokenizer_file import tokenizer_path
from tapeout.models.weights_folder import FolderWeights
from tapeout.nemo.convert import ConversionMismatch

FIX = "Report it; the export is at fault."


def export_gguf(
    folder: Path, output: Path, job: ExportGgufJob, sets: Sequence[tuple[Path, Path]], texts: Sequence[Path]
) -> None:
    """Write an exported Hugging Face folder as the file ``output``, verify it, and print what was compared.

    Args:
        folder: the exported model, with its model card.
        output: new file.
        job: type of the matrices, tolerance and length of the comparison, prompts of the training.
        sets: folders ``instructions/<set>`` and ``encoded/<set>`` of each set that the model was trained on.
        texts: test texts, JSONL.

    Raises:
        UnusableModel: llama.cpp does not have this architecture, or a weight does not fit the type.
        InvalidVocabulary: llama.cpp does not have this kind of tokenizer.
        ConversionMismatch: the file is not the same model, see ``check_gguf``.
    """
    with tempfile.TemporaryDirectory(dir=output.parent) as scratch:
        file = Path(scratch) / output.name
        write_gguf(folder, file, job.gguf_dtype)
        for name, value in check_gguf(file, folder, job, sets, texts).items():
            print(f"{name}: {value}")
        file.replace(output)


def check_gguf(
    file: Path, folder: Path, job: ExportGgufJob, sets: Sequence[tuple[Path, Path]], texts: Sequence[Path]
) -> dict[str, Any]:
    """Read a file back and compare it with the folder that it was made from.

    Returns:
        what was compared, with the largest difference of a logit, by its name.

    Raises:
        ConversionMismatch: a field, tensor or token id differs, or a logit by more than ``job.tolerance``.
    """
    family, layout, config = family_of(folder), layout_of(folder), checked_config(folder).to_dict()
    kind = job.gguf_dtype or type_of(folder)
    with tempfile.TemporaryDirectory() as scratch:
        again = Path(scratch) / "again"
        report = convert_gguf(file, getattr(family, "__name__", ""), again)
        expected = _Expected(folder, layout, config, kind)
        _compare_tensors(expected, FolderWeights(again), report["tensors"])
        _compare_fields(file, metadata(folder, layout, config, kind))
        _compare_settings(again, folder, family)
        counts = _compare_tokens(again, folder, job, sets, texts)
        difference = _logit_difference(again, folder, expected, job)
    return {
        "tensors": report["tensors"],
        **counts,
        "texts that end an answer": generation(folder).get("stop_strings", []),
        "largest difference of a logit": "not computed" if difference is None else f"{difference:.2e}",
    }


class _Expected(Mapping[str, Tensor]):
    """The tensors that a reader must get from the file, in 32-bit floats."""

    def __init__(self, folder: Path, layout: Layout, config: Mapping[str, Any], kind: str) -> None:
        self.weights, self.layout, self.config, self.kind = FolderWeights(folder), layout, config, kind

    def __getitem__(self, name: str) -> Tensor:
        stored = converted(name, self.weights[name], self.layout, self.config, self.kind).float()
        tensor: Tensor = self.layout.restored(name, stored, self.config)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self.weights)

    def __len__(self) -> int:
        return len(self.weights)


def _compare_tensors(expected: _Expected, actual: Mapping[str, Tensor], kinds: Mapping[str, int]) -> None:
    names = sorted({*expected} ^ {*actual})
    if names:
        raise ConversionMismatch(f"The tensor {names[0]} is in one of the models only.", FIX)
    for name, tensor in actual.items():
        if not torch.equal(expected[name].view(torch.int32), tensor.view(torch.int32)):
            raise ConversionMismatch(f"The tensor {name} of the GGUF file has other numbers than the model.", FIX)
    stored = [stored_type(expected.kind, tensor.dim())[1].name for tensor in actual.values()]
    if kinds != {name: stored.count(name) for name in sorted(set(stored))}:
        raise ConversionMismatch(f"The GGUF file has tensors of other types: {dict(kinds)}.", FIX)


def _compare_fields(file: Path, expected: Mapping[str, Any]) -> None:
    reader = open_gguf(file)
    actual = {name: field.contents() for name, field in reader.fields.items() if name in expected}
    for name, value in expected.items():
        rounded = float(numpy.float32(value)) if isinstance(value, float) else value
        if actual.get(name) != rounded:
            raise ConversionMismatch(f"The field {name} of the GGUF file has another value than the model.", FIX)


def _compare_settings(again: Path, folder: Path, family: Family) -> None:
    ignored = {"params_dtype": "float32", "init_method_std": 1.0, "rope_scaling": None}  # the second is for a training
    one, other = (family.architecture_of(checked_config(path)).model_dump() | ignored for path in (folder, again))
    for option in one:
        if one[option] != other[option]:
            raise ConversionMismatch(
                f"The model in the GGUF file has {option} {other[option]}, not {one[option]}.", FIX
            )
    divisors = [gguf_rotary.divisors(checked_config(path).to_dict()) for path in (folder, again)]
    scaled, found = (numpy.ones(1) if values is None else values for values in divisors)
    if scaled.shape != found.shape or not numpy.allclose(scaled, found, rtol=gguf_rotary.TOLERANCE, atol=0):
        raise ConversionMismatch("The model in the GGUF file scales rotary positions differently.", FIX)
    encoders = [load_encoder(path) for path in (folder, again)]
    for role in ("bos", "eos", "pad", "unk", "size", "bos_ids"):
        values = [getattr(encoder, role) for encoder in encoders]
        if values[0] != values[1]:
            raise ConversionMismatch(f"The tokenizer in the GGUF file has {role} {values[1]}, not {values[0]}.", FIX)


def _compare_tokens(
    again: Path, folder: Path, job: ExportGgufJob, sets: Sequence[tuple[Path, Path]], texts: Sequence[Path]
) -> dict[str, int]:
    """Compare the ids of all texts, and of the prompts that the default chat template renders."""
    trained, read = load_encoder(folder), load_encoder(again)
    count = 0
    for path in texts:
        contents = read_texts(path)
        for number, ids in enumerate(zip(trained.encode_batch(contents), read.encode_batch(contents), strict=True), 1):
            if ids[0] != ids[1]:
                place = f"corpus/{path.parent.name}/{path.name}:{number}"
                raise ConversionMismatch(f"The tokenizer in the GGUF file encodes {place} to other ids.", FIX)
        count += len(contents)
    _complete_tokenizer(again)
    shapes, rows = read_sets(sets)
    texts_by_shape = templates(folder)
    default = texts_by_shape["default"]
    rendered = {shape for shape in shapes if texts_by_shape.get(shape, default) == default}
    chosen = [row for row in rows if shape_of(row[1]) in rendered]
    prompts = check_prompts(again, chosen, ends_of_answers(trained, job, shapes), job.encoding)
    return {"texts": count, **prompts, "rows_of_other_chat_templates": len(rows) - len(chosen)}


def _complete_tokenizer(folder: Path) -> None:
    """Add what transformers needs to encode as servers do."""
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_bytes()) | {"tokenizer_class": "PreTrainedTokenizerFast", "legacy": True}
    path.write_text(json.dumps(settings), encoding="utf-8")
    if not (folder / "tokenizer.json").exists():
        model = tokenizer_path(folder).read_bytes()
        (folder / "tokenizer.json").write_text(fast_tokenizer(model), encoding="utf-8")


def _logit_difference(again: Path, folder: Path, expected: Mapping[str, Tensor], job: ExportGgufJob) -> float | None:
    """Return the largest difference of a logit of the file's model from that of the same weights in the folder."""
    if not job.parity_tokens:
        return None
    model = load_huggingface(folder)
    load_weights(model, dict(expected))
    ids = parity_ids(model.config, job.parity_tokens)
    with torch.no_grad():
        difference = float((model(ids).logits - load_huggingface(again)(ids).logits).abs().max())
    if not difference <= job.tolerance:
        raise ConversionMismatch(
            f"Logits of the model in the GGUF file differ by {difference:.2e}, more than {job.tolerance:.0e}.",
            "Raise export.tolerance only if you know why they differ.",
        )
    return difference
