"""Large corpora for pretraining: which sources, in which shares, cut into how many shards, cleaned how."""

from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from tapeout.config.corpus import Pattern, Selection
from tapeout.config.section import Section
from tapeout.config.sources import SourceName

ComponentName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
"""Name of a part of the blend: a file name, and the ``component`` field of rows."""


class Reading(Selection):
    """How a source is read."""

    include: tuple[Pattern, ...] = Field(
        default=("*",), min_length=1, description="Shell patterns over /path/of/a/file; * crosses folders."
    )
    maximum_bytes: int = Field(default=1_000_000, gt=0, description="Larger documents are dropped.")
    field: str = Field(default="text", min_length=1, description="Field of JSON Lines, or column of parquet.")

    @model_validator(mode="after")
    def _patterns_that_can_match(self) -> Self:
        for pattern in (*self.include, *self.exclude):
            if pattern[0] not in "/*?[":
                raise ValueError(f"the pattern {pattern!r} matches no file: paths begin with /; write '*/{pattern}'")
        return self


class Component(Reading):
    """One part of the blend: sources that are drawn from together."""

    sources: tuple[SourceName, ...] = Field(min_length=1, description="The sources.")
    weight: float = Field(
        gt=0, allow_inf_nan=False, description="Share of the training tokens; the sum is brought to 1."
    )


class Quality(Section):
    """What a document must be like; each reason is counted."""

    longest_line: int = Field(default=10_000, gt=0, description="Characters of the longest line: data, not text.")
    smallest_share_of_words: float = Field(
        default=0.25, ge=0, le=1, description="Letters and digits among the characters that are no white space."
    )
    largest_share_of_repeats: float = Field(
        default=0.8, ge=0, le=1, description="Characters in lines that the document has said before, among all."
    )


class Scrub(Section):
    """What is replaced by a placeholder in the text."""

    emails: bool = Field(default=False, description="Addresses of electronic mail.")
    secrets: bool = Field(default=False, description="Private keys, tokens of known forms, passwords in URLs.")


class Signing(Section):
    """How a document gets its signature: MinHash over runs of words."""

    words: int = Field(default=5, ge=1, description="Words in a run.")
    permutations: int = Field(default=128, ge=16, description="Numbers in a signature.")
    seed: int = Field(default=1, ge=0, lt=2**64, description="Seed of the permutations.")


class NearDuplicates(Signing):
    """Documents whose signatures agree in a whole band are compared."""

    threshold: float = Field(default=0.8, gt=0, le=1, description="Estimated Jaccard similarity from which one goes.")
    bands: int = Field(default=16, ge=1, description="Bands of a signature; must divide permutations.")

    @property
    def signing(self) -> Signing:
        """What the signatures depend on: another threshold makes no shard again."""
        return Signing(**self.model_dump(include=set(Signing.model_fields)))

    @model_validator(mode="after")
    def _whole_bands(self) -> "NearDuplicates":
        if self.permutations % self.bands:
            raise ValueError("bands must divide permutations")
        return self


class Pretraining(Section):
    """A sharded corpus; without components there is none."""

    shards: int = Field(
        default=200, ge=1, le=4096, description="Shards. A document's digest alone decides in which it lies."
    )
    components: dict[ComponentName, Component] = Field(default={}, description="Parts of the blend, by name.")
    licences: tuple[str, ...] = Field(default=(), description="Licences that are allowed; none named: all are.")
    quality: Quality = Quality()
    scrub: Scrub = Scrub()
    near_duplicates: NearDuplicates | None = Field(default=NearDuplicates(), description="null keeps them.")
    append_end: bool = Field(default=True, description="Whether the end-of-sequence id follows each document.")

    @property
    def sources(self) -> dict[SourceName, ComponentName]:
        """The component of each source, sorted by source."""
        return dict(sorted((name, part) for part, each in self.components.items() for name in each.sources))

    @property
    def shard_names(self) -> list[str]:
        """Names of the shards."""
        return [shard_name(number) for number in range(self.shards)]

    @property
    def job_fields(self) -> list[str]:
        """Names of the parameters of the rule ``pretraining_documents``."""
        return list(DocumentsJob.model_fields)

    def documents_job(self, source: SourceName, licence: str) -> dict[str, Any]:
        """Parameters of the rule ``pretraining_documents`` for a source.

        Other sources and the weights are none of its business: a document more or another blend reads nothing again.
        """
        component = self.sources[source]
        job = DocumentsJob(
            **self.components[component].model_dump(include=set(Reading.model_fields)),
            source=source,
            component=component,
            licence=licence,
            licences=self.licences,
            shards=self.shards,
        )
        return job.identity()

    @model_validator(mode="after")
    def _each_source_once(self) -> "Pretraining":
        named = [name for each in self.components.values() for name in each.sources]
        if len(set(named)) < len(named):
            raise ValueError("a source is named twice: it belongs to one component")
        return self


def shard_name(number: int) -> str:
    """Name of a shard: its number with four digits."""
    return f"{number:04d}"


class DocumentsJob(Reading):
    """Parameters of the rule ``pretraining_documents``."""

    source: SourceName = Field(description="Name of the source.")
    component: ComponentName = Field(description="Name of the component.")
    licence: str = Field(description="Licence of the source; a row's own wins.")
    licences: tuple[str, ...] = Field(description="Licences that are allowed; none named: all are.")
    shards: int = Field(ge=1, description="Number of shards.")


class ShardJob(Section):
    """Parameters of the rule ``pretraining_shard``."""

    quality: Quality
    scrub: Scrub
    near_duplicates: Signing | None


class BlendJob(Section):
    """Parameters of the rule ``pretraining_blend``."""

    weights: dict[ComponentName, float] = Field(description="Weight of each component.")
    shards: tuple[str, ...] = Field(description="Names of the shards, in the order of the inputs.")


class NearJob(NearDuplicates):
    """Parameters of the rule ``pretraining_near``."""

    shards: tuple[str, ...] = Field(description="Names of the shards, in the order of the inputs.")


class TokensJob(Section):
    """Parameters of the rule ``pretraining_tokens``."""

    append_end: bool = Field(description="Whether the end-of-sequence id follows each document.")
