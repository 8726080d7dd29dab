"""Section ``retrieval``: passages of the corpora, the indexes that find them, and the embedding model.

Its rules exist only where the configuration has this section (docs/retrieval.md).
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from tapeout.config.embedder_tuning import TuningJob
from tapeout.config.passages import DenseJob, Encoding, IndexJob, PassagesJob
from tapeout.config.section import conflict
from tapeout.config.sources import SourceName

BM25, EMBEDDER, TUNED = "bm25", "embedder", "embedder_tuned"
"""Names of the systems that are compared; those of embedding models are also the names of their artifacts."""


class Embedder(Encoding):
    """Embedding model and its fine-tuning."""

    source: SourceName = Field(
        description="Source of the model: a folder of sentence-transformers, or a wheel that contains one."
    )
    tuning: TuningJob | None = Field(None, description="Fine-tuning of the model; null to use it as it is.")


class Retrieval(PassagesJob):
    """Retrieval of passages: BM25, and an embedding model before and after fine-tuning."""

    corpora: tuple[Literal["domain", "general"], ...] = Field(
        ("domain",), min_length=1, description="Corpora whose documents become passages."
    )
    splits: tuple[Literal["train", "test"], ...] = Field(
        ("train", "test"),
        min_length=1,
        description="Splits of the corpora that the indexes contain; test is among them.",
    )
    questions: SourceName = Field(
        "rtl", description="Instruction set, of the format rtl, whose rows become questions with a right passage."
    )
    embedder: Embedder | None = Field(None, description="Embedding model; null for BM25 alone.")
    at: tuple[int, ...] = Field(
        (1, 5, 10), min_length=1, description="Numbers of first passages for which the report states recall."
    )
    depth: int = Field(100, ge=1, description="Ranks that are looked at; a right passage below counts as not found.")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if "domain" not in self.corpora or "test" not in self.splits:
            raise conflict(
                "the questions are about the test split of the corpus domain, which is not searched",
                "Add domain to corpora and test to splits.",
                "corpora",
                "splits",
            )
        for key in ("corpora", "splits", "at"):
            if len(set(getattr(self, key))) < len(getattr(self, key)):
                raise conflict(f"{key} names something twice", "Name it once.", key)
        if not all(1 <= k <= self.depth for k in self.at):
            raise conflict(f"at has a number that is not from 1 to depth, {self.depth}", "Raise depth.", "at", "depth")
        return self

    @property
    def systems(self) -> tuple[str, ...]:
        """Names of the indexes, in the order of the report."""
        tuned = self.embedder is not None and self.embedder.tuning is not None
        return (BM25, *([EMBEDDER] if self.embedder else []), *([TUNED] if tuned else []))

    @property
    def passages(self) -> PassagesJob:
        """Parameters of the rule ``retrieval_passages``."""
        return PassagesJob(characters=self.characters, overlap=self.overlap)

    @property
    def index(self) -> IndexJob:
        """Parameters of the rule ``retrieval_bm25``."""
        return IndexJob(splits=self.splits)

    @property
    def dense(self) -> DenseJob:
        """Parameters of the rule ``retrieval_dense``."""
        assert self.embedder is not None, "the rule exists only with an embedding model"
        return DenseJob(splits=self.splits, batch_size=self.embedder.batch_size, threads=self.embedder.threads)
