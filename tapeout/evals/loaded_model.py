"""A model, loaded for evaluation with its encoder and its prompt template."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import torch

from tapeout.config.instructions import EncodeJob
from tapeout.data.encode.prompt import TEMPLATE_FILE
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tapeout.evals.task import ModelFacts
from tapeout.models.tokenizer_file import UnusableModel, tokenizer_path
from tapeout.nemo.checkpoint import load_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class LoadedModel:
    """A model in float32 and evaluation mode.

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


def load(folder: Path, threads: int, encoding: EncodeJob | None) -> LoadedModel:
    """Load a model from a Hugging Face folder or a NeMo checkpoint, and make PyTorch deterministic.

    Args:
        folder: folder of the model.
        threads: number of PyTorch threads; the last bits of float sums depend on them.
        encoding: how rows become token ids; the prompt template in the model's folder replaces its own.

    Raises:
        UnusableModel: tokenizer and embedding do not match.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    network = load_model(folder).float().eval()
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
