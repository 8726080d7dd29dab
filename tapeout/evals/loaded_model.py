"""A model, loaded for evaluation with its encoder and its prompt template."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import torch

from tapeout.config.computation import Computation
from tapeout.config.instructions import EncodeJob
from tapeout.data.encode.prompt import TEMPLATE_FILE
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tapeout.evals.task import ModelFacts
from tapeout.models.tokenizer_file import UnusableModel, tokenizer_path
from tapeout.nemo.checkpoint import load_model
from tapeout.program import StepFailed

if TYPE_CHECKING:
    from transformers import PreTrainedModel


DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode, on its device.

    Attributes:
        network: causal language model with the interface of Hugging Face.
        encoder: the model's own tokenizer.
        encoding: how instruction rows become token ids; None for a task that asks no questions.
        has_template: True if ``encoding`` has the model's own prompt template, or that of the model it was made from.
        facts: its size; ``facts.context`` is the maximum number of tokens of a sequence.
    """

    network: "PreTrainedModel"
    encoder: Encoder
    encoding: EncodeJob | None
    facts: ModelFacts
    has_template: bool = False


def load(folder: Path, computation: Computation, encoding: EncodeJob | None) -> LoadedModel:
    """Load a model from a Hugging Face folder or a NeMo checkpoint, and make PyTorch deterministic.

    Args:
        folder: folder of the model.
        computation: what computes it, and in which number format.
        encoding: how rows become token ids; the prompt template in the model's folder replaces its own.

    Raises:
        StepFailed: this machine has not the GPU that the computation names.
        UnusableModel: tokenizer and embedding do not match.
    """
    device = _prepared(computation)
    network = load_model(folder).to(device, DTYPES[computation.dtype]).eval()
    encoder = load_encoder(tokenizer_path(folder))
    if encoder.size > network.config.vocab_size:
        raise UnusableModel(
            f"The tokenizer has {encoder.size} pieces, but the model's embedding has only "
            f"{network.config.vocab_size} rows.",
            "Build the model again with the tokenizer in its folder.",
        )
    stored = folder / TEMPLATE_FILE
    if encoding is not None and stored.exists():
        encoding = encoding.model_copy(update={"template": orjson.loads(stored.read_bytes())["template"]})
    has_template = stored.exists() or (encoding is not None and encoding.prompt.for_questions)
    facts = ModelFacts(
        context=network.config.max_position_embeddings,
        parameters=network.num_parameters(),
        vocabulary=network.config.vocab_size,
    )
    return LoadedModel(network, encoder, encoding, facts, has_template)


def _prepared(computation: Computation) -> torch.device:
    """Make PyTorch deterministic, and return the device."""
    if computation.gpu_model is not None:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # without it the sums of cuBLAS may differ between runs
    torch.set_num_threads(computation.threads)
    torch.use_deterministic_algorithms(True)
    if computation.gpu_model is None:
        return torch.device("cpu")
    found = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    if found != computation.gpu_model:
        raise StepFailed(
            f"The evaluation computes on {computation.gpu_model}, but the first GPU that PyTorch sees is {found}.",
            "Run it on such a machine, or correct evaluation.gpu_model; null computes on the CPU.",
        )
    return torch.device("cuda", 0)
