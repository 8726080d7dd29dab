"""Load a model of any kind that the graph makes, with its tokenizer, its chat templates, and where its answers end."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tapeout.config.export import PromptsJob
from tapeout.config.serving import ServedModel
from tapeout.data.encode.model_template import with_model_template
from tapeout.data.io.jsonl import read_jsonl
from tapeout.deploy.served_tokenizer import ends_of_answers, stop_settings, write_tokenizer
from tapeout.deploy.token_ids import SHAPES, shape_of
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tapeout.guard.errors import UnusableModel
from tapeout.guard.folders import check_checkpoint, check_huggingface
from tapeout.models.adapter import CONFIG, read_adapter
from tapeout.models.family import family_of
from tapeout.models.tokenizer_file import tokenizer_path
from tapeout.nemo.checkpoint import load_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

GENERATION, TEMPLATES = "generation_config.json", ("tokenizer_config.json", "chat_template.jinja")
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Model:
    """A model in 32-bit floats and evaluation mode.

    Attributes:
        name: name under which it is served.
        network: causal language model with the interface of Hugging Face.
        encoder: the tokenizer of the training.
        tokenizer: the tokenizer of transformers, which renders chat templates.
        ends: tokens that end an answer.
        stops: texts that end an answer.
        context: maximum tokens of a prompt and its answer.
    """

    name: str
    network: "PreTrainedModel"
    encoder: Encoder
    tokenizer: "PreTrainedTokenizerFast"
    ends: frozenset[int]
    stops: tuple[str, ...]
    context: int


def load(served: ServedModel) -> Model:
    """Load a model, and check its files first.

    Raises:
        UnusableModel: a file may run code or is damaged, the parts do not fit each other, or the model has no prompts.
    """
    folder = Path(served.folder)
    whole = Path(served.base) if served.base is not None else folder
    check = check_huggingface if (whole / "config.json").is_file() else check_checkpoint
    check(whole)
    network = load_model(whole)
    if served.base is not None:
        add_adapter(network, folder, whole)
    encoder = load_encoder(tokenizer_path(whole))
    context = int(network.config.max_position_embeddings)
    if encoder.size > network.config.vocab_size:
        raise UnusableModel(
            f"The tokenizer of {served.name} has {encoder.size} pieces, but its embedding has only "
            f"{network.config.vocab_size} rows.",
            "Build the model again.",
        )
    if served.prompts is None:
        tokenizer, settings = own_tokenizer(whole), own_ends(whole, encoder)
    else:
        tokenizer, settings = trained_tokenizer(served, served.prompts, whole, encoder, context)
    ends = settings["eos_token_id"]
    return Model(
        served.name,
        network,
        encoder,
        tokenizer,
        frozenset(ends if isinstance(ends, list) else [ends]),
        tuple(settings.get("stop_strings") or ()),
        context,
    )


def add_adapter(network: "PreTrainedModel", folder: Path, base: Path) -> None:
    """Add an adapter to the weights of its model, in 32 bits.

    Raises:
        UnusableModel: see ``read_adapter``.
    """
    if not (folder / CONFIG).is_file():
        raise UnusableModel(f"{folder} has no {CONFIG}.", "Name the folder of an adapter.")
    adapter = read_adapter(folder, base)
    with torch.no_grad():
        for layer in adapter.pairs:
            network.get_submodule(layer).weight.add_(adapter.change(layer))


def own_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """Return the tokenizer and the chat templates in a Hugging Face folder.

    Raises:
        UnusableModel: it has no tokenizer.json or no chat template.
    """
    if not (folder / "tokenizer.json").is_file():
        raise UnusableModel(f"{folder} has no tokenizer.json.", "Export the model again, or name an artifact.")
    tokenizer = load_tokenizer(folder)
    if not tokenizer.chat_template:
        raise UnusableModel(f"{folder} has no chat template.", "Name an artifact, whose prompts are configured.")
    return tokenizer


def own_ends(folder: Path, encoder: Encoder) -> dict[str, Any]:
    """Return ``eos_token_id`` and ``stop_strings`` of a Hugging Face folder."""
    file = folder / GENERATION
    settings: dict[str, Any] = json.loads(file.read_bytes()) if file.is_file() else {}
    return settings if settings.get("eos_token_id") is not None else settings | {"eos_token_id": encoder.eos}


def trained_tokenizer(
    served: ServedModel, prompts: PromptsJob, folder: Path, encoder: Encoder, context: int
) -> tuple["PreTrainedTokenizerFast", dict[str, Any]]:
    """Return the tokenizer that an export of the model would have, and how its answers end."""
    template = None if served.template is None else Path(served.template)
    job = prompts.model_copy(update={"encoding": with_model_template(prompts.encoding, template)})
    shapes = trained_shapes([Path(name) for name in served.sets])
    with tempfile.TemporaryDirectory(prefix="tapeout-serve-") as output:
        write_tokenizer(tokenizer_path(folder), Path(output), family_of(folder), job, shapes, context)
        tokenizer = load_tokenizer(Path(output))
    return tokenizer, stop_settings(ends_of_answers(encoder, job, shapes), encoder.eos)


def trained_shapes(sets: list[Path]) -> list[str]:
    """Return the kinds of the rows of instruction sets, in the order of ``SHAPES``; questions if there is no set."""
    if not sets:
        return ["question"]
    found = {shape_of(row) for folder in sets for split in SPLITS for row in read_jsonl(folder / f"{split}.jsonl", ())}
    return [shape for shape in SHAPES if shape in found]


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """Return the tokenizer in tokenizer.json, whatever class the settings name: others would build it anew."""
    from transformers import PreTrainedTokenizerFast

    tokenizer: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    return tokenizer
