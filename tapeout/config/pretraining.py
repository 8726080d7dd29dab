"""Sharded pretraining corpus: sources, blend weights, cleaning and deduplication."""

from math import isfinite
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from tapeout.config.corpus import Pattern, Selection
from tapeout.config.section import Section, conflict
from tapeout.config.sources import SourceName

ComponentName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
"""Name of a component of the blend: a file name, and the ``component`` field of rows."""


class DocumentSelection(Selection):
    """Selection of the documents of a source."""

    include: tuple[Pattern, ...] = Field(
        default=("*",), min_length=1, description="Shell patterns over /path/of/a/file; * crosses folders."
    )
    max_bytes: int = Field(default=1_000_000, gt=0, description="Larger documents are dropped.")
    field: str = Field(default="text", min_length=1, description="Text field of JSON Lines, or column of parquet.")

    @model_validator(mode="after")
    def _patterns_can_match(self) -> Self:
        for pattern in (*self.include, *self.exclude):
            if pattern[0] not in "/*?[":
                key = "include" if pattern in self.include else "exclude"
                cause = f'{key}: the pattern "{pattern}" matches no file, because paths begin with /'
                raise conflict(cause, f'Write "*/{pattern}".', key)
        return self


class Component(DocumentSelection):
    """One component of the blend: sources that share a weight."""

    sources: tuple[SourceName, ...] = Field(min_length=1, description="Names of the sources.")
    weight: float = Field(gt=0, description="Fraction of the training tokens; weights are normalized to sum to 1.")


class Quality(Section):
    """Thresholds of the quality filter; the report counts the dropped documents by reason."""

    max_line_characters: int = Field(
        default=10_000, gt=0, description="Documents with a longer line are dropped: they are data, not text."
    )
    min_word_fraction: float = Field(
        default=0.25, ge=0, le=1, description="Minimum fraction of letters and digits among non-blank characters."
    )
    max_repeated_fraction: float = Field(
        default=0.8, ge=0, le=1, description="Maximum fraction of characters in lines that repeat an earlier line."
    )


class Scrub(Section):
    """Personal data and secrets that are replaced by a placeholder."""

    emails: bool = Field(default=False, description="Email addresses.")
    secrets: bool = Field(default=False, description="Private keys, tokens of known forms, passwords in URLs.")


class MinHash(Section):
    """MinHash signatures over word n-grams."""

    ngram_words: int = Field(default=5, ge=1, description="Words of an n-gram.")
    permutations: int = Field(default=128, ge=16, description="Numbers in a signature.")
    seed: int = Field(default=1, ge=0, lt=2**64, description="Seed of the permutations.")


class NearDuplicates(MinHash):
    """Near-duplicate removal: documents whose signatures agree in a whole band are compared."""

    threshold: float = Field(
        default=0.8, gt=0, le=1, description="Minimum estimated Jaccard similarity at which a duplicate is dropped."
    )
    bands: int = Field(default=16, ge=1, description="Bands of a signature; must divide permutations.")

    @property
    def minhash(self) -> MinHash:
        """Parameters of the signatures, without the threshold, so that changing it rebuilds no shard."""
        return MinHash(**self.model_dump(include=set(MinHash.model_fields)))

    @model_validator(mode="after")
    def _bands_are_equal(self) -> Self:
        if self.permutations % self.bands:
            raise conflict(
                f"bands is {self.bands}, which does not divide permutations, {self.permutations}",
                "Choose a divisor of permutations.",
                "bands",
                "permutations",
            )
        return self


class Pretraining(Section):
    """Sharded corpus; disabled while ``components`` is empty."""

    shards: int = Field(
        default=200, ge=1, le=4096, description="Number of shards; a document's digest chooses its shard."
    )
    components: dict[ComponentName, Component] = Field(default={}, description="Components of the blend, by name.")
    licences: tuple[str, ...] = Field(default=(), description="Allowed licences; empty allows all.")
    quality: Quality = Quality()
    scrub: Scrub = Scrub()
    near_duplicates: NearDuplicates | None = Field(default=NearDuplicates(), description="null keeps near duplicates.")
    append_eod: bool = Field(default=True, description="Append the end-of-document id to each document.")

    @property
    def sources(self) -> dict[SourceName, ComponentName]:
        """Component of each source, sorted by source."""
        return dict(sorted((name, part) for part, component in self.components.items() for name in component.sources))

    @property
    def shard_names(self) -> list[str]:
        """Names of the shards."""
        return [shard_name(number) for number in range(self.shards)]

    @property
    def shard_job(self) -> "ShardJob":
        """Parameters of the rule ``pretraining_shard``."""
        minhash = self.near_duplicates and self.near_duplicates.minhash
        return ShardJob(quality=self.quality, scrub=self.scrub, near_duplicates=minhash)

    @property
    def blend_job(self) -> "BlendJob":
        """Parameters of the rule ``pretraining_blend``."""
        weights = {name: component.weight for name, component in sorted(self.components.items())}
        return BlendJob(weights=weights, shards=tuple(self.shard_names))

    def documents_job(self, source: SourceName, licence: str) -> "DocumentsJob":
        """Return the parameters of the rule ``pretraining_documents`` for a source.

        They do not mention other sources or weights, so that adding a source or changing the blend does not read an
        unchanged source again.
        """
        component = self.sources[source]
        return DocumentsJob(
            **self.components[component].model_dump(include=set(DocumentSelection.model_fields)),
            source=source,
            component=component,
            licence=licence,
            licences=self.licences,
            shards=self.shards,
        )

    @model_validator(mode="after")
    def _each_source_once(self) -> Self:
        seen: dict[str, str] = {}
        for name, component in self.components.items():
            for source in component.sources:
                if source in seen:
                    keys = dict.fromkeys(f"components.{each}.sources" for each in (name, seen[source]))
                    cause = f"the source {source} is named twice, in {' and '.join(keys)}"
                    raise conflict(cause, "Name each source once: it belongs to one component.", *keys)
                seen[source] = name
        return self

    @model_validator(mode="after")
    def _weights_have_a_sum(self) -> Self:
        if not isfinite(sum(component.weight for component in self.components.values())):
            keys = [f"components.{name}.weight" for name in self.components]
            raise conflict("the weights of the components have no finite sum", "Write smaller weights.", *keys)
        return self


def shard_name(number: int) -> str:
    """Return the name of a shard: its number with four digits."""
    return f"{number:04d}"


class DocumentsJob(DocumentSelection):
    """Parameters of the rule ``pretraining_documents``."""

    source: SourceName = Field(description="Name of the source.")
    component: ComponentName = Field(description="Name of the component.")
    licence: str = Field(description="Licence of the source; a row's own licence takes precedence.")
    licences: tuple[str, ...] = Field(description="Allowed licences; empty allows all.")
    shards: int = Field(ge=1, description="Number of shards.")


class ShardJob(Section):
    """Parameters of the rule ``pretraining_shard``."""

    quality: Quality
    scrub: Scrub
    near_duplicates: MinHash | None


class BlendJob(Section):
    """Parameters of the rule ``pretraining_blend``."""

    weights: dict[ComponentName, float] = Field(description="Weight of each component.")
    shards: tuple[str, ...] = Field(description="Names of the shards, in the order of the inputs.")


class NearJob(NearDuplicates):
    """Parameters of the rule ``pretraining_near``."""

    shards: tuple[str, ...] = Field(description="Names of the shards, in the order of the inputs.")


class TokensJob(Section):
    """Parameters of the rule ``pretraining_tokens``."""

    append_eod: bool = Field(description="Append the end-of-document id to each document.")
