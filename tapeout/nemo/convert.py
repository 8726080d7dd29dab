"""Convert Hugging Face folders to NeMo-2 checkpoints with NeMo's own importer, and compare tensors.

NeMo's converters raise nothing when a name does not match: the layer keeps its random initial values. Every tensor is
therefore compared with its source after a conversion.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from tapeout.encoder.load import load_encoder
from tapeout.errors import TapeoutError
from tapeout.models.carried import check_vocabulary
from tapeout.models.huggingface import checked_config
from tapeout.models.tokenizer_file import tokenizer_path
from tapeout.nemo.canonical import canonicalize
from tapeout.nemo.checkpoint import checkpoint_weights


class ConversionMismatch(TapeoutError):
    """A converted model differs from its source."""


def import_checkpoint(source: Path, output: Path, workplace: Path) -> None:
    """Convert a Hugging Face folder to a canonical NeMo-2 checkpoint folder with the tokenizer inside.

    Args:
        source: the Hugging Face folder.
        output: new folder for the checkpoint.
        workplace: temporary folder of this process, whose path must not occur in the checkpoint.

    Raises:
        UnusableModel: the model has an option that cannot be carried through.
        ConversionMismatch: a tensor is missing, additional, or differs in a bit.
    """
    check_vocabulary(checked_config(source), load_encoder(tokenizer_path(source)))
    from tapeout.nemo.importer import Importer

    Importer(source.resolve()).save(huggingface_tensors(source), output)
    canonicalize(output, forbidden=[source.resolve(), output.resolve(), workplace.resolve()])
    compare_tensors(huggingface_tensors(source), checkpoint_weights(output))


def compare_tensors(expected: dict[str, Tensor], actual: dict[str, Tensor]) -> None:
    """Check that both models have the same tensor names and bit-identical tensors.

    Raises:
        ConversionMismatch: names the first tensor that differs.
    """
    for name in sorted(expected.keys() | actual.keys()):
        if name not in expected or name not in actual:
            raise ConversionMismatch(
                f"Only one of the two models has the tensor {name}.", "This architecture cannot be converted yet."
            )
        if not torch.equal(expected[name], actual[name]):
            raise ConversionMismatch(
                f"Tensor {name} changed in the conversion.",
                "Check the names of the norms in tapeout/nemo/shim.py and the tensor names of the model family.",
            )


def huggingface_tensors(folder: Path) -> dict[str, Tensor]:
    """Return the tensors of a Hugging Face folder, from all its files."""
    return {name: tensor for path in sorted(folder.glob("*.safetensors")) for name, tensor in load_file(path).items()}
