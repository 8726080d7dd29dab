"""Parameters of passages, of the questions about them, and of their indexes."""

from typing import Literal, Self

from pydantic import Field, model_validator

from tapeout.config.section import Section, conflict
from tapeout.config.sources import SourceName


class PassagesJob(Section):
    """Parameters of the rule ``retrieval_passages``."""

    characters: int = Field(512, ge=16, description="Maximum characters of a passage.")
    overlap: int = Field(
        64, ge=0, description="Maximum characters that a passage shares with the one before it; whole lines if it can."
    )

    @model_validator(mode="after")
    def _passages_advance(self) -> Self:
        if 2 * self.overlap >= self.characters:
            raise conflict(
                f"overlap is {self.overlap}, half of characters, {self.characters}, or more",
                "Lower overlap, or raise characters.",
                "overlap",
                "characters",
            )
        return self


class QuestionsJob(Section):
    """Parameters of the rule ``retrieval_questions``."""

    separator: str = Field(description="Text between question and excerpt in the rows of the set.")
    held_out: tuple[SourceName, ...] = Field(min_length=1, description="Held-out cores: no question of training.")


class IndexJob(Section):
    """Parameters of the rule ``retrieval_bm25``."""

    splits: tuple[Literal["train", "test"], ...] = Field(description="Splits whose passages the index contains.")


class Encoding(Section):
    """Parameters of the embedding of texts."""

    batch_size: int = Field(32, ge=1, description="Passages that are embedded together; sums depend on it.")
    threads: int = Field(2, ge=1, description="Threads of PyTorch; another number adds floats in another order.")


class DenseJob(Encoding, IndexJob):
    """Parameters of the rule ``retrieval_dense``, which embeds the passages."""
