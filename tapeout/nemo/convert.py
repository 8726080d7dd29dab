"""Convert Hugging Face folders to NeMo-2 checkpoints and back, one tensor at a time, and compare tensors.

Configuration, context and layout of files are those of NeMo's own importer and exporter; tests compare every byte with
their output. NeMo's own would hold the model in memory several times, and raise no error when a name does not match:
the layer of that name would keep its random initial values. Here every tensor is compared with its source after a
conversion.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.distributed.checkpoint.planner import WriteItem

from tapeout.encoder.load import load_encoder
from tapeout.errors import TapeoutError
from tapeout.guard.folders import check_checkpoint
from tapeout.models.carried import check_vocabulary
from tapeout.models.config_fields import DTYPE
from tapeout.models.family import family_of
from tapeout.models.huggingface import checked_config
from tapeout.models.layout import Part
from tapeout.models.tokenizer_file import tokenizer_path
from tapeout.models.weights_folder import FolderWeights
from tapeout.models.weights_writer import MAX_SHARD_BYTES, write_weights
from tapeout.nemo.canonical import canonicalize
from tapeout.nemo.checkpoint import PREFIX, CheckpointWeights, checkpoint_config
from tapeout.nemo.lazy_save import save_lazily

if TYPE_CHECKING:
    from transformers import PretrainedConfig


class ConversionMismatch(TapeoutError):
    """A converted model differs from its source."""


def import_checkpoint(source: Path, output: Path, workplace: Path) -> None:
    """Convert a Hugging Face folder to a canonical NeMo-2 checkpoint folder with the tokenizer inside.

    Memory is bounded by the two largest tensors of Megatron's model, not by the size of the whole model.

    Args:
        source: the Hugging Face folder, with one or several safetensors files.
        output: new folder for the checkpoint.
        workplace: temporary folder of this process, whose path must not occur in the checkpoint.

    Raises:
        UnusableModel: the model has an option that cannot be carried through, or its files are damaged or incomplete.
        ConversionMismatch: a tensor is missing, additional, or differs in a bit.
    """
    config = checked_config(source)
    check_vocabulary(config, load_encoder(tokenizer_path(source)))
    weights, parts = FolderWeights(source), family_of(source).parts(config)
    check_names({name for part in parts for name in part.sources}, set(weights))
    from tapeout.nemo.importer import Importer

    save_lazily(Importer(source.resolve()), output, Chunks(parts, weights).read)
    canonicalize(output, forbidden=[source.resolve(), output.resolve(), workplace.resolve()])
    check_checkpoint(output)
    compare_tensors(weights, CheckpointWeights(output))


def export_weights(
    source: Path, output: Path, max_shard_bytes: int = MAX_SHARD_BYTES, dtype: torch.dtype | None = None
) -> None:
    """Write the configuration and the weights of a model to a Hugging Face folder.

    Args:
        source: a NeMo-2 checkpoint folder, written by any number of ranks, or a Hugging Face folder.
        output: new folder for config.json and the safetensors files.
        max_shard_bytes: size at which another file begins.
        dtype: type that the weights are rounded to; None keeps theirs.

    Raises:
        UnusableModel: the checkpoint is incomplete.
        ConversionMismatch: a tensor is missing, additional, or differs in a bit.
    """
    config, weights = _configured_weights(source)
    if dtype is not None:
        weights = _Rounded(weights, dtype)
    with torch.device("meta"):
        model = family_of(source).model_class()(config)
    empty = dict(model.state_dict())
    for name in model._tied_weights_keys or () if config.tie_word_embeddings else ():
        empty.pop(name, None)
    check_names(set(empty), set(weights))
    written = dtype or weights[next(iter(weights))].dtype
    output.mkdir(parents=True)
    model.config.update({DTYPE: written, "architectures": [type(model).__name__], "_name_or_path": ""})
    model.config._attn_implementation_autoset = False  # as save_pretrained does: the flag says nothing about the model
    model.config.save_pretrained(output)
    empty = {name: tensor.to(written) for name, tensor in empty.items()}
    write_weights(output, empty, weights, max_shard_bytes)
    compare_tensors(FolderWeights(output), weights)


def _configured_weights(source: Path) -> "tuple[PretrainedConfig, Mapping[str, Tensor]]":
    """Return the configuration and the weights of a NeMo-2 checkpoint folder or a Hugging Face folder."""
    if (source / "config.json").is_file():
        return checked_config(source), FolderWeights(source)
    return checkpoint_config(source), CheckpointWeights(source)


class _Rounded(Mapping[str, Tensor]):
    """Weights in another type, rounded when they are read."""

    def __init__(self, weights: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        self.weights, self.dtype = weights, dtype

    def __getitem__(self, name: str) -> Tensor:
        """Read and round a tensor."""
        return self.weights[name].to(self.dtype)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all tensors."""
        return iter(self.weights)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self.weights)


class Chunks:
    """Content of the chunks of a checkpoint, made from the tensors of a Hugging Face model."""

    def __init__(self, parts: Sequence[Part], weights: Mapping[str, Tensor]) -> None:
        self.parts = {(part.megatron, part.layer): part for part in parts}
        self.stacked = {part.megatron for part in parts if part.layer is not None}
        self.weights = weights

    def read(self, item: WriteItem) -> Tensor:
        """Return the content of a chunk in memory of its own.

        Raises:
            ConversionMismatch: NeMo's model has a tensor of another name, shape or type.
        """
        assert item.tensor_data is not None
        name = item.index.fqn.removeprefix(PREFIX)
        offsets, sizes = item.tensor_data.chunk.offsets, item.tensor_data.chunk.sizes
        stacked = name in self.stacked
        part = self.parts.get((name, offsets[0] if stacked else None))
        if part is None:
            raise ConversionMismatch(
                f"NeMo's model has a tensor {name} that the model family does not know.",
                "This architecture cannot be converted yet.",
            )
        whole = part.join([self.weights[source] for source in part.sources])
        expected = tuple(item.tensor_data.size)[stacked:], item.tensor_data.properties.dtype
        if (tuple(whole.shape), whole.dtype) != expected:
            raise ConversionMismatch(
                f"{', '.join(part.sources)} give a tensor of shape {tuple(whole.shape)} in {whole.dtype}, but the "
                f"configuration of the model implies shape {expected[0]} in {expected[1]}.",
                "Correct config.json, or convert the tensors to its torch_dtype.",
            )
        for dimension, (offset, size) in enumerate(zip(offsets[stacked:], sizes[stacked:], strict=True)):
            whole = whole.narrow(dimension, offset, size)
        return whole.clone(memory_format=torch.contiguous_format).view(tuple(sizes))


def check_names(expected: set[str], actual: set[str]) -> None:
    """Check that both models have the same tensor names.

    Raises:
        ConversionMismatch: names the first tensor that only one of them has.
    """
    for name in sorted(expected ^ actual):
        raise ConversionMismatch(
            f"Only one of the two models has the tensor {name}.", "This architecture cannot be converted yet."
        )


def compare_tensors(expected: Mapping[str, Tensor], actual: Mapping[str, Tensor]) -> None:
    """Check that both models have the same tensor names and bit-identical tensors, reading one at a time.

    Raises:
        ConversionMismatch: names the first tensor that differs.
    """
    check_names(set(expected), set(actual))
    for name in actual:
        if not _same_bits(expected[name], actual[name]):
            raise ConversionMismatch(
                f"Tensor {name} changed in the conversion.",
                "Check the names of the norms in tapeout/nemo/shim.py and the tensor names of the model family.",
            )


def _same_bits(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have the same shape, type and bits; a NaN is the same as a NaN of the same bits."""
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    bits = [tensor.contiguous().view(-1).view(torch.uint8) for tensor in (one, other)]
    return bool(torch.equal(*bits))
