"""Parameters of the vocabulary extension."""

from pydantic import Field

from tapeout.config.section import Section


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
    new_pieces: int = Field(
        default=768,
        ge=0,
        description="Pieces to append; 0 keeps the base vocabulary. With 32,000 base pieces, 768 give 32,768 rows.",
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
