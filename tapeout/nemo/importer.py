"""NeMo model of a Hugging Face folder, saved as a NeMo-2 checkpoint.

NeMo has an importer for each family. Some forget an option: tied embeddings, the width of a head, the context, three of
the four numbers of Llama 3.1's scaling, or the rows of a vocabulary that is no multiple of 128. This one makes the
model from the family's ``Architecture`` and its weights from the family's table. It writes the bytes that NeMo's
importers write wherever these are right.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nemo.collections.common.tokenizers.huggingface.auto_tokenizer import AutoTokenizer
from nemo.lightning import teardown
from nemo.lightning.io import ModelConnector
from torch import Tensor
from torch.nn import Parameter
from transformers import AutoTokenizer as HuggingFaceTokenizer
from transformers import GenerationConfig

from tapeout.models.family import family_of
from tapeout.models.huggingface import checked_config
from tapeout.models.layout import Part, megatron_tensors
from tapeout.models.tokenizer_file import UnusableModel
from tapeout.nemo.shim import FUSED_NORMS


class Importer(ModelConnector):  # type: ignore[misc]
    """The path of a Hugging Face folder, with NeMo's functions to set a model up and save it."""

    def init(self) -> Any:
        """Return NeMo's model with its tokenizer; ``nemo_setup`` gives it weights, which are not initialized.

        Raises:
            UnusableModel: see ``checked_config``.
        """
        folder = Path(self)
        family, config = family_of(folder), checked_config(folder)
        generation = GenerationConfig.from_pretrained(folder) if (folder / "generation_config.json").exists() else None
        return family.nemo_model(family.architecture_of(config), config.vocab_size, generation, self.tokenizer)

    @property
    def tokenizer(self) -> AutoTokenizer:
        """Return NeMo's tokenizer, from a copy of the folder's that no other process writes."""
        staged = os.path.join(tempfile.mkdtemp(), "nemo_tokenizer")
        HuggingFaceTokenizer.from_pretrained(str(self), local_files_only=True).save_pretrained(staged)
        return AutoTokenizer(staged)

    def save(self, weights: Mapping[str, Tensor], output: Path) -> None:
        """Write the NeMo-2 checkpoint folder ``output``; ids and paths in it are NeMo's choice.

        Args:
            weights: Hugging Face state dict.
            output: new folder.

        Raises:
            UnusableModel: a weight is missing or has another shape than the configuration says.
        """
        folder = Path(self)
        target = self.init()
        trainer = self.nemo_setup(target)
        try:
            for part, tensor in megatron_tensors(family_of(folder).parts(checked_config(folder)), weights.__getitem__):
                set_weight(target.module, part, tensor)
        except KeyError as error:
            raise UnusableModel(f"The model in {folder} has no tensor {error}.", "Use a complete model.") from error
        self.nemo_save(output, trainer)
        teardown(trainer, target)


def set_weight(model: Any, part: Part, tensor: Tensor) -> None:
    """Replace a weight of Megatron's model.

    Raises:
        UnusableModel: the model has a weight of another shape.
    """
    name = local_name(part)
    weight = model.get_parameter(name)
    if weight.shape != tensor.shape:
        raise UnusableModel(
            f"Tensor {name} has the shape {list(tensor.shape)}, but the model needs {list(weight.shape)}.",
            "Correct config.json, or use a complete model.",
        )
    module, _, attribute = name.rpartition(".")
    model.get_submodule(module).register_parameter(attribute, Parameter(tensor, requires_grad=weight.requires_grad))


def local_name(part: Part) -> str:
    """Return the name of a part's tensor in Megatron's model with local layers, which have separate norms."""
    name = part.megatron
    if part.layer is None:
        return name
    name = name.replace("decoder.layers.", "decoder.layers.*.")
    return FUSED_NORMS.get(name, name).replace("*", str(part.layer))
