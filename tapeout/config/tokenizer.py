"""Parameters of the vocabulary extension."""

from collections.abc import Sequence
from itertools import accumulate, takewhile
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from tapeout import plugins
from tapeout.config.section import Section, conflict
from tapeout.errors import did_you_mean

METHODS = "tapeout.tokenizer.methods"
"""Package of the methods that choose new pieces."""


class Budget(Section):
    """All ``new_pieces``."""

    exact: ClassVar[bool] = True
    """True if fewer candidates than ``new_pieces`` are an error; otherwise ``new_pieces`` is the maximum."""

    by: Literal["budget"] = Field(default="budget", description="Exactly new_pieces; fewer are an error.")

    def number(self, gains: Sequence[int], tokens: int) -> int:
        """Return how many candidates become pieces.

        Args:
            gains: gain of each candidate in the order of choice: occurrences in the domain text.
            tokens: tokens of the domain text with the base vocabulary.
        """
        return len(gains)


class Coverage(Section):
    """The first candidates that have a share of all gains."""

    exact: ClassVar[bool] = False
    by: Literal["coverage"] = Field(description="The fewest pieces with a share of the gain of new_pieces candidates.")
    share: float = Field(default=0.98, gt=0, le=1, description="Share of the sum of the candidates' occurrences.")

    def number(self, gains: Sequence[int], tokens: int) -> int:
        """Return the smallest number whose gains sum to the share; see ``Budget.number``."""
        wanted = self.share * sum(gains)
        return sum(1 for before in accumulate(gains, initial=0) if before < wanted)


class Marginal(Section):
    """The first candidates, up to one with too small a gain."""

    exact: ClassVar[bool] = False
    by: Literal["marginal"] = Field(description="Stop at a piece that saves too little; new_pieces at most.")
    min_saving: float = Field(
        default=50, gt=0, description="Minimum occurrences of a piece per million tokens of the domain training text."
    )

    def number(self, gains: Sequence[int], tokens: int) -> int:
        """Return the number of gains before the first that is too small; see ``Budget.number``."""
        return sum(1 for _ in takewhile(lambda gain: gain * 1e6 >= self.min_saving * tokens, gains))


class Tokenizer(Section):
    """Extension of the base vocabulary, and the gates that the result must pass."""

    source: str = Field(
        default="mistral-common",
        min_length=1,
        description="Name of the source of the base vocabulary; unused if the base model comes from a source itself.",
    )
    model_file: str = Field(
        default="mistral_common/data/tokenizer.model.v1",
        description="File of the base vocabulary: path in the source's folder, or in the one archive there; if the "
        "base model comes from a source, its tokenizer.model or tokenizer.json. A name in .json is a byte-level BPE, "
        "any other a SentencePiece model.",
        min_length=1,
    )
    method: str = Field(
        default="continued_bpe",
        description="Module of tapeout.tokenizer.methods that chooses the new pieces, or the dotted name of another.",
    )
    selection: Annotated[Budget | Coverage | Marginal, Field(discriminator="by")] = Field(
        default=Budget(), description="How many of the candidates become pieces."
    )
    new_pieces: int = Field(
        default=768,
        ge=0,
        description="Pieces to append, or the maximum if the selection says how many; 0 keeps the base vocabulary. "
        "With 32,000 base pieces, 768 give 32,768 rows.",
    )
    multiple: int = Field(
        default=1024,
        ge=1,
        description="The size of the extended vocabulary must be a multiple of this: 128 times the largest tensor "
        "parallelism, so that no layout pads it.",
    )
    max_piece_characters: int = Field(
        default=24, ge=2, description="Maximum characters of a new piece, including the word mark."
    )
    min_count: int = Field(
        default=20,
        ge=1,
        description="Minimum occurrences of a new piece in the domain training text.",
    )
    min_sources: int = Field(
        default=2,
        ge=1,
        description="Minimum number of sources (cores) of the domain training text in which a new piece occurs.",
    )
    max_general_rate: float = Field(
        default=2e-5,
        gt=0,
        lt=1,
        description="Maximum occurrences of a new piece per token of the general training text.",
    )
    min_contrast: float = Field(
        default=50,
        ge=0,
        description="Minimum ratio of a new piece's occurrences per token of domain text to those per token of general "
        "text.",
    )
    min_cohesion: float = Field(
        default=0,
        ge=0,
        le=1,
        description="Minimum cohesion of a new piece: its occurrences over the geometric mean of those of its two "
        "halves, when it is chosen. Higher values save fewer tokens and cost less quality (docs/tokenizer.md).",
    )
    allow_digits: bool = Field(
        False,
        description="Whether new pieces may contain digits. The base model splits numbers into digits, which lets a "
        "model read them by position.",
    )
    samples: int = Field(
        default=64, ge=1, description="Documents of each test corpus that are encoded and decoded as a gate."
    )
    max_general_change: float = Field(
        default=0.005,
        ge=0,
        lt=1,
        description="Gate: maximum relative change of the token count of the general test text.",
    )

    @field_validator("method")
    @classmethod
    def _known_method(cls, name: str) -> str:
        known = plugins.available(METHODS)
        if "." not in name and name not in known:
            raise conflict(
                f"there is no method {name}{did_you_mean(name, known).rstrip('.')}",
                f"Name one of {', '.join(known)}, or a module by its dotted name.",
                "method",
            )
        return name

    @property
    def method_module(self) -> str:
        """Dotted name of the method's module."""
        return plugins.module_name(METHODS, self.method)

    @property
    def file_name(self) -> str:
        """Name of the extended vocabulary's file in the artifact ``tokenizer`` and in model folders."""
        return f"tokenizer{self._suffix}"

    @property
    def base_file_name(self) -> str:
        """Name of the base vocabulary's file in the artifact ``tokenizer``."""
        return f"base{self._suffix}"

    @property
    def _suffix(self) -> str:
        return ".json" if self.model_file.endswith(".json") else ".model"
