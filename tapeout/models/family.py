"""Interface of a model family, and lookup of the family of a configuration or a model folder.

A family is a package ``tapeout/models/<family>/`` whose ``__init__.py`` provides the members of ``Family``, or a module
outside of this package that the configuration names by its dotted name (``base.family: my_team.models.gemma``). All
that depends on an architecture is there: its dimensions and their costs, the tensor names of Hugging Face and of
Megatron, and special pieces. docs/extending.md shows how to add one.

The module itself must import without torch, because the configuration is checked in an environment that has none.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from tapeout import plugins
from tapeout.config.base import SEAM, Architecture, families
from tapeout.models.layout import Part
from tapeout.models.tokenizer_file import UnusableModel

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

NEMO_CONTEXT = "context/io.json"
"""File of a NeMo-2 checkpoint that records the objects that the checkpoint was made with, and their arguments."""


class Family(Protocol):
    """Interface of a model family, provided by a module."""

    MODEL_TYPE: str
    """``model_type`` in the config.json of a Hugging Face folder."""

    NEMO_CONFIG: str
    """Class of the model's configuration in the context of a NeMo-2 checkpoint."""

    SPECIAL_PIECES: Mapping[str, str]
    """Text of the special pieces, by Hugging Face's names for their roles, e.g. ``bos_token``."""

    CARRIED: Collection[str]
    """Fields of config.json that import, training, evaluation and export keep with any value."""

    @property
    def Architecture(self) -> type[Architecture]:
        """Dimensions of a model, with their parameter count, FLOP and memory; a part of the configuration."""

    def huggingface_config(self, architecture: Any, vocabulary: int, bos: int | None, eos: int) -> "PretrainedConfig":
        """Return the Hugging Face configuration of a new model in 32-bit floats.

        Args:
            architecture: an instance of ``Architecture``.
            vocabulary: rows of the embedding.
            bos: id of the piece that begins a text; None if there is none.
            eos: id of the piece that ends a text.
        """

    def model_class(self) -> "type[PreTrainedModel]":
        """Return the Hugging Face class of a causal language model, with separate input and output rows."""

    def tokenizer_config(self) -> dict[str, Any]:
        """Return the content of tokenizer_config.json that gives Hugging Face the ids of SentencePiece itself."""

    def nemo_model(self) -> Any:
        """Return an empty NeMo-2 model, which selects NeMo's importer."""

    def nemo_exporter(self, checkpoint: Path) -> Any:
        """Return NeMo's exporter of a checkpoint, which loads NeMo's own model."""

    def config_from_nemo(self, arguments: Mapping[str, Any], bos: int | None, eos: int) -> "PretrainedConfig":
        """Return the Hugging Face configuration of a NeMo-2 checkpoint.

        Args:
            arguments: what ``NEMO_CONFIG`` was constructed with.
            bos: id of the piece that begins a text; None if there is none.
            eos: id of the piece that ends a text.
        """

    def parts(self, config: Any) -> Sequence[Part]:
        """Return the correspondence of the weights of Hugging Face and of Megatron, for both directions.

        Args:
            config: the Hugging Face configuration.
        """


def load_family(name: str) -> Family:
    """Return the family ``name``: a package of ``tapeout.models``, or a dotted module name.

    Raises:
        UnknownPlugin: there is no such module.
        InvalidPlugin: a step runs, and its rule does not declare the module.
    """
    return cast(Family, plugins.load(SEAM, name))


def nemo_arguments(checkpoint: Path) -> dict[str, dict[str, Any]]:
    """Return the plain constructor arguments of each object in the context of a NeMo-2 checkpoint, by class name.

    The context is the JSON form of Fiddle configurations: an object's metadata names its class, and its items are pairs
    of an accessor, such as ``Attr(name='hidden_size')``, and a value.
    """
    objects = json.loads((checkpoint / NEMO_CONTEXT).read_bytes())["objects"]
    arguments = {}
    for value in objects.values():
        if value["type"]["name"] == "Config":
            made_by = dict(objects[value["metadata"]["key"]]["items"])["Attr(name='fn_or_cls')"]["name"]
            arguments[made_by] = {
                accessor.split("'")[1]: item["value"] for accessor, item in value["items"] if item["type"] == "leaf"
            }
    return arguments


def family_of(folder: Path) -> Family:
    """Return the family of a model folder, by its config.json or by the context of a NeMo-2 checkpoint.

    Chooses among the families that the running step declares, or, outside of a step, among those of ``tapeout.models``.

    Raises:
        UnusableModel: the folder is not a model folder, or none of these families describes it.
    """
    if (folder / "config.json").is_file():
        member, names = "MODEL_TYPE", {json.loads((folder / "config.json").read_bytes()).get("model_type")}
    elif (folder / NEMO_CONTEXT).is_file():
        member, names = "NEMO_CONFIG", set(nemo_arguments(folder))
    else:
        raise UnusableModel(
            f"{folder} is not a model folder.", "Give a Hugging Face folder or a NeMo-2 checkpoint folder."
        )
    declared = plugins.declared()
    for name in families() if declared is None else declared:
        family = load_family(name)
        if getattr(family, member, None) in names:
            return family
    raise UnusableModel(
        f"No model family has the {member} of {folder}: {', '.join(sorted(filter(None, names)))}.",
        "Name the model's family in base.family; docs/extending.md says how to add one.",
    )
