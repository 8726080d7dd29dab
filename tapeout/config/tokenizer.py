"""Parameters of the vocabulary extension."""

from pydantic import Field

from tapeout.config.section import Section


class Tokenizer(Section):
    """How the base vocabulary is extended, and the gates that the result must pass."""

    source: str = Field(default="mistral-common", min_length=1, description="Name of the source that holds the model.")
    model_file: str = Field(
        default="mistral_common/data/tokenizer.model.v1",
        description="SentencePiece model: its path in the source's folder, or inside the one archive there.",
        min_length=1,
    )
    new_pieces: int = Field(
        default=768,
        ge=1,
        description="Pieces to append. With 32,000 base pieces 768 give 32,768 rows (F21).",
    )
    multiple: int = Field(
        default=1024,
        ge=1,
        description="The extended vocabulary must be a multiple of this: 128 times the widest tensor parallelism, "
        "so that no layout pads it (F20, F21).",
    )
    longest_piece: int = Field(default=24, ge=2, description="Longest new piece, in characters with the word mark.")
    smallest_count: int = Field(
        default=20,
        ge=1,
        description="Occurrences in the domain training text below which no piece is worth a row of the model.",
    )
    smallest_sources: int = Field(
        default=2,
        ge=1,
        description="Sources (cores) of the domain training text that a new piece must occur in, if there are so many.",
    )
    general_rate: float = Field(
        default=2e-5,
        gt=0,
        lt=1,
        description="Rarity limit: occurrences of a new piece per token of the general training text (F17).",
    )
    digits: bool = Field(
        False,
        description="Whether new pieces may hold digits. The base model splits every digit; keeping that lets a "
        "model read numbers by place.",
    )
    samples: int = Field(default=64, ge=1, description="Documents of each test corpus that are decoded back as a gate.")
    general_change: float = Field(
        default=0.005,
        ge=0,
        lt=1,
        description="Gate: largest relative change of the token count on the general test text.",
    )
