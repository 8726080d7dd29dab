"""Base model: what all kinds of it have in common, its architecture, and the rows of new pieces.

The key ``base.kind`` names a module of ``tapeout.config.bases``, which brings the parameters of the kind.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, ValidationError, ValidationInfo, field_validator

from tapeout import plugins
from tapeout.config.plugin_options import plugin_class, with_hints
from tapeout.config.section import Section
from tapeout.config.sources import SourceName, relative_name

SEAM = "tapeout.models"
"""Package of the model families."""

USUAL_ROWS = 32_000
"""Assumed rows of a vocabulary whose file is not read yet."""


class Architecture(Section, ABC):
    """Dimensions of a model; each model family has a subclass with its own options."""

    seq_length: int = Field(default=256, ge=8, description="Tokens of a sequence: the model's context.")

    @property
    def bytes_per_weight(self) -> int:
        """Bytes of a stored weight."""
        return 4

    @abstractmethod
    def parameter_count(self, vocabulary: int) -> int:
        """Return the number of weights of a model with ``vocabulary`` rows in its embedding."""

    @abstractmethod
    def forward_flop(self, vocabulary: int, seq_length: int) -> int:
        """Return the FLOP of a forward pass per token, in sequences of ``seq_length`` tokens."""

    def training_flop(self, vocabulary: int, tokens: int, seq_length: int) -> int:
        """Return the FLOP of training on ``tokens`` tokens: a backward pass costs twice as much as a forward pass."""
        return 3 * self.forward_flop(vocabulary, seq_length) * tokens


def families() -> list[str]:
    """Return the names of the families in ``tapeout.models``, sorted: its sub-packages."""
    return sorted(path.parent.name for path in (Path(__file__).parents[1] / "models").glob("*/__init__.py"))


def _describe_families(schema: dict[str, Any]) -> None:
    """Put the options of all families of the package into the JSON schema."""
    models = [plugins.load(SEAM, name).Architecture.model_json_schema() for name in families()]
    schema["anyOf"] = [_inlined(model, model.pop("$defs", {})) for model in models]


def _inlined(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return a JSON schema in which definitions replace the references to them, so that it can be a part of another."""
    if isinstance(schema, list):
        return [_inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        schema = {**definitions[schema["$ref"].rpartition("/")[2]], **schema}
        del schema["$ref"]
    return {key: _inlined(part, definitions) for key, part in schema.items()}


class BaseKind(Section):
    """Parameters of every kind of base model: its family and its architecture.

    Both are part of the configuration even if a model's own files state them too, because costs, memory and the checks
    of a configuration need them before anything is downloaded.
    """

    kind: str = Field(description="Kind of base model: a module of tapeout.config.bases, or a dotted module name.")
    family: str = Field(default="llama", description="Model family: a package of tapeout.models, or a dotted module.")
    architecture: SerializeAsAny[Architecture] = Field(
        default={},  # validated into the defaults of the family
        validate_default=True,
        description="Dimensions of the model, with the options of its family.",
        json_schema_extra=_describe_families,
    )

    @property
    def family_module(self) -> str:
        """Dotted name of the family's module, which every rule that opens a model declares among its plugins."""
        return plugins.module_name(SEAM, self.family)

    @property
    def rows(self) -> int:
        """Rows of the embedding, as far as the configuration states them: a tiny model has those of its vocabulary."""
        return USUAL_ROWS

    @property
    def trained_tokens(self) -> int:
        """Tokens on which the base model is trained here."""
        return 0

    @property
    def rule(self) -> str:
        """Name of the rule that makes the artifact ``base``, and of its file in ``rules/``."""
        return f"base_{self.kind.rpartition('.')[2]}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that the model is made from; if there are any, its vocabulary is among them."""
        return ()

    @field_validator("family")
    @classmethod
    def _family_exists(cls, family: str) -> str:
        if "." not in family and family not in families():
            raise ValueError(f"there is no family {family}; name one of {', '.join(families())}, or a dotted module")
        plugin_class(SEAM, family, "Architecture", Architecture, "family")
        return family

    @field_validator("architecture", mode="plain")
    @classmethod
    def _options_of_the_family(cls, value: Any, info: ValidationInfo) -> Any:
        if "family" not in info.data:
            return value  # the family is wrong and is reported
        architecture = plugins.load(SEAM, info.data["family"]).Architecture
        given = value.model_dump() if isinstance(value, Architecture) else value
        try:
            return architecture.model_validate(given)
        except ValidationError as error:
            raise with_hints(error, architecture) from error


class ForeignBase(BaseKind):
    """A trained model from a source, with its own vocabulary."""

    source: SourceName = Field(description="Name of the source that contains the model.")
    path: str = Field(
        default="",
        description="The model's folder or file in the source, or in the one archive there; empty: all of it.",
    )

    vocab_size: int = Field(ge=1, description="Rows of the embedding; rows beyond the last piece are padding.")

    _plain_path = field_validator("path")(lambda path: path and relative_name(path))

    @property
    def sources(self) -> tuple[str, ...]:
        """The source."""
        return (self.source,)

    @property
    def rows(self) -> int:
        """Rows of the embedding."""
        return self.vocab_size


class ImportJob(ForeignBase):
    """Parameters of the rules that import a model from a source."""

    tokenizer: str = Field(min_length=1, description="Name of the vocabulary's file, which the model must have.")


InitialRows = Literal["mean", "weighted-mean", "zero", "focus"]
"""Methods of ``tapeout.tokenizer.initial_rows``."""


class BaseExtended(Section):
    """Initial values of the rows of new pieces, and rows that no piece has."""

    embedding_init: InitialRows = Field(
        default="mean",
        description="New rows of the embedding: mean of the rows of a piece's parts; weighted-mean, by the bytes of a "
        "part; zero; or focus, a mean of the rows of old pieces with similar names (arXiv 2305.14481).",
    )
    output_init: InitialRows = Field(
        default="zero",
        description="New rows of a separate output layer, by the same methods. Tied embeddings are one matrix, made by "
        "embedding_init.",
    )
    pad_to: int = Field(
        default=1,
        ge=1,
        description="Both matrices are filled up to a multiple of this many rows, for a tokenizer whose size is no "
        "multiple of 128 times the tensor parallelism. No text has the ids of these rows, and no answer takes them.",
    )
