"""Section ``retrieval``: passages of the corpora, the indexes that find them, and the embedding model.

Its rules exist only where the configuration has this section (docs/retrieval.md).
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from tapeout.config.report import Statistics
from tapeout.config.section import Section, conflict
from tapeout.config.sources import SourceName

BM25, EMBEDDER, TUNED = "bm25", "embedder", "embedder_tuned"
"""Names of the systems that are compared; those of embedding models are also the names of their artifacts."""


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


class TuningJob(Section):
    """Parameters of the rule ``retrieval_tuning``: fine-tuning of the embedding model on questions about RTL."""

    max_pairs: int = Field(
        3_000, ge=2, description="Questions of training cores that are used at most, chosen by digest."
    )
    epochs: int = Field(1, ge=1, description="Times that each question is used.")
    batch_size: int = Field(16, ge=2, description="Questions whose passages are each other's negatives.")
    hard_negatives: int = Field(
        1, ge=0, description="Wrong passages of each question that BM25 ranks highest, as further negatives."
    )
    lr: float = Field(5e-5, gt=0, description="Highest learning rate; it rises linearly and falls linearly to zero.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Fraction of the steps in which the learning rate rises.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW, of matrices only.")
    grad_clip: float = Field(1.0, gt=0, description="Maximum norm of the gradient.")
    scale: float = Field(20.0, gt=0, description="Factor of cosine similarities before the softmax.")
    max_tokens: int = Field(256, ge=8, description="Tokens of a text that are read while training; the rest is cut.")
    seed: int = Field(1234, ge=0, description="Seed of the order and of dropout.")
    threads: int = Field(2, ge=1, description="Threads of PyTorch; another number adds floats in another order.")


class Encoding(Section):
    """How texts are embedded."""

    batch_size: int = Field(32, ge=1, description="Passages that are embedded together; sums depend on it.")
    threads: int = Field(2, ge=1, description="Threads of PyTorch; another number adds floats in another order.")


class Embedder(Encoding):
    """Embedding model and its fine-tuning."""

    source: SourceName = Field(
        description="Source of the model: a folder of sentence-transformers, or a wheel that contains one."
    )
    tuning: TuningJob | None = Field(None, description="Fine-tuning of the model; null to use it as it is.")


class IndexJob(Section):
    """Parameters of the rule ``retrieval_bm25``."""

    splits: tuple[Literal["train", "test"], ...] = Field(description="Splits whose passages the index contains.")


class DenseJob(Encoding, IndexJob):
    """Parameters of the rule ``retrieval_dense``, which embeds the passages."""


class RecallJob(Statistics):
    """Parameters of the rule ``retrieval_recall``; the intervals have the settings of the section ``report``."""

    at: tuple[int, ...] = Field(description="Numbers of first passages among which a right one counts.")
    depth: int = Field(description="Ranks that are looked at; a right passage below counts as not found.")
    systems: tuple[str, ...] = Field(description="Names of the indexes, in order.")


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

    def recall(self, statistics: Statistics) -> RecallJob:
        """Return the parameters of the rule ``retrieval_recall``."""
        own = {name: getattr(statistics, name) for name in Statistics.model_fields}
        return RecallJob(**own, at=self.at, depth=self.depth, systems=self.systems)


class QuestionsJob(Section):
    """Parameters of the rule ``retrieval_questions``."""

    separator: str = Field(description="Text between question and excerpt in the rows of the set.")
    held_out: tuple[SourceName, ...] = Field(min_length=1, description="Held-out cores: no question of training.")
