"""Interface of a model family, and lookup of the family of a configuration or a model folder.

A family is a package ``tapeout/models/<family>/`` whose ``__init__.py`` provides the members of ``Family``, or a module
outside of this package that the configuration names by its dotted name (``base.family: my_team.models.gemma``). All
that depends on an architecture is there: its dimensions and their costs, the tensor names of Hugging Face and of
Megatron, and special pieces. docs/extending.md shows how to add one.

The module itself must import without torch, because the configuration is checked in an environment that has none.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from tapeout import plugins
from tapeout.config import base
from tapeout.guard.context import read_json
from tapeout.guard.errors import UnusableModel
from tapeout.guard.settings import check_settings
from tapeout.models.layout import Part

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

NEMO_CONTEXT = "context/io.json"
"""File of a NeMo-2 checkpoint that records the objects that the checkpoint was made with, and their arguments."""


class Family(Protocol):
    """Interface of a model family, provided by a module."""

    MODEL_TYPE: str
    """``model_type`` in the config.json of a Hugging Face folder."""

    NEMO_CONFIGS: Collection[str]
    """Classes of the model's configuration in the context of a NeMo-2 checkpoint."""

    SPECIAL_PIECES: Mapping[str, str]
    """Text of the special pieces, by Hugging Face's names for their roles, e.g. ``bos_token``."""

    INERT: Mapping[str, Collection[Any]]
    """Fields of config.json that change nothing when they have one of these values; with no values, never."""

    @property
    def Architecture(self) -> type[base.Architecture]:
        """Dimensions and options of a model, with its parameter count, FLOP and memory; a part of the configuration."""

    def architecture_of(self, config: Any) -> base.Architecture:
        """Return the architecture that a Hugging Face configuration states.

        What it leaves out is found by ``check_carried``, which makes the configuration again.

        Raises:
            ValidationError: an option has a value that the family does not support.
        """

    def architecture_from_nemo(self, arguments: Mapping[str, Any]) -> base.Architecture:
        """Return the architecture of a NeMo-2 checkpoint.

        Args:
            arguments: what one of ``NEMO_CONFIGS`` was constructed with.
        """

    def huggingface_config(self, architecture: Any, vocabulary: int, **ids: Any) -> "PretrainedConfig":
        """Return the Hugging Face configuration of a model.

        Args:
            architecture: an instance of ``Architecture``.
            vocabulary: rows of the embedding.
            ids: ``bos_token_id``, ``eos_token_id`` (which may be a list), ``pad_token_id``.
        """

    def model_class(self) -> "type[PreTrainedModel]":
        """Return the Hugging Face class of a causal language model."""

    def tokenizer_config(self) -> dict[str, Any]:
        """Return the content of tokenizer_config.json that gives Hugging Face the ids of SentencePiece itself."""

    def nemo_model(self, architecture: Any, vocabulary: int, generation_config: Any, tokenizer: Any) -> Any:
        """Return NeMo's model, whose arguments NeMo records in the context of a checkpoint.

        Args:
            architecture: an instance of ``Architecture``.
            vocabulary: rows of the embedding.
            generation_config: Hugging Face's settings of generation, with all special ids; may be None.
            tokenizer: NeMo's tokenizer.
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
    return cast(Family, plugins.load(base.SEAM, name))


def nemo_arguments(checkpoint: Path) -> dict[str, dict[str, Any]]:
    """Return the plain constructor arguments of each object in the context of a NeMo-2 checkpoint, by class name.

    The context is the JSON form of Fiddle configurations: an object's metadata names its class, and its items are pairs
    of an accessor, such as ``Attr(name='hidden_size')``, and a value.

    Raises:
        UnusableModel: there is no readable context.
    """
    content = read_json(checkpoint / NEMO_CONTEXT)
    arguments = {}
    try:
        objects = content["objects"]
        for value in objects.values():
            if value["type"]["name"] == "Config":
                made_by = dict(objects[value["metadata"]["key"]]["items"])["Attr(name='fn_or_cls')"]["name"]
                arguments[made_by] = {
                    accessor.split("'")[1]: item["value"] for accessor, item in value["items"] if item["type"] == "leaf"
                }
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UnusableModel(
            f"{NEMO_CONTEXT} of {checkpoint} is not the context of a checkpoint: {error}.", "Build it again."
        ) from error
    return arguments


def family_of(folder: Path) -> Family:
    """Return the family of a model folder, by its config.json or by the context of a NeMo-2 checkpoint.

    Chooses among the families that the running step declares, or, outside of a step, among those of ``tapeout.models``.

    Raises:
        UnusableModel: the folder is not a model folder, or none of these families describes it.
    """
    if (folder / "config.json").is_file():
        member, names = "MODEL_TYPE", {check_settings(folder / "config.json").get("model_type")}
    elif (folder / NEMO_CONTEXT).is_file():
        member, names = "NEMO_CONFIGS", set(nemo_arguments(folder))
    else:
        raise UnusableModel(
            f"{folder} is not a model folder.", "Give a Hugging Face folder or a NeMo-2 checkpoint folder."
        )
    declared = plugins.declared()
    for name in base.families() if declared is None else declared:
        family = load_family(name)
        known = getattr(family, member, ())
        if names & ({known} if isinstance(known, str) else set(known)):
            return family
    raise UnusableModel(
        f"No model family has the {member} of {folder}: {', '.join(sorted(filter(None, names)))}.",
        "Name the model's family in base.family; docs/extending.md says how to add one.",
    )
