"""Instruction data: questions about real RTL, their form, and their splits."""

from typing import Self

from pydantic import Field, model_validator

from tapeout.config.corpus import DomainCorpus
from tapeout.config.section import Section
from tapeout.config.sources import SourceName


class RawInstructions(Section):
    """Questions with exact answers, made from parses of short excerpts of modules."""

    context_characters: int = Field(default=360, ge=80, description="Longest excerpt.")
    row_characters: int = Field(
        default=540, ge=120, description="Longest row: instruction, context and response. Longer ones are dropped."
    )
    window_items: int = Field(
        default=4, ge=2, description="Most ports or declarations in an excerpt that is not a whole module header."
    )
    rows_per_excerpt: int = Field(default=2, ge=1, description="Most rows of one category about one excerpt.")
    rows_per_module: int = Field(default=4, ge=1, description="Most rows of one category about one module.")
    rows_per_category: int = Field(default=1200, ge=1, description="Most rows of one category from training cores.")
    test_rows_per_category: int = Field(default=60, ge=1, description="Most rows of one category from held-out cores.")

    @model_validator(mode="after")
    def _room_for_a_question(self) -> Self:
        if self.row_characters < self.context_characters + 40:
            raise ValueError("row_characters must exceed context_characters by at least 40")
        return self


class FormattedInstructions(Section):
    """From instruction, context and response to input and output (the form of the NeMo SFT guide)."""

    seed: int = Field(default=1234, description="Seed of the coin that decides whether the context comes first.")
    strip_citations: bool = Field(
        default=False,
        description="Remove citation marks such as [3] from contexts: right for prose like Dolly's, wrong for RTL, "
        "where it would eat bit selects.",
    )


class InstructionSplits(Section):
    """Training, validation and test rows."""

    seed: int = Field(default=1234, description="Seed of the choice of validation groups.")
    validation_share: float = Field(default=0.06, gt=0, lt=0.5, description="Share of the groups that validate.")


class Instructions(Section):
    """The three steps of instruction data."""

    own: tuple[SourceName, ...] = Field(
        default=(),
        description="Sources with rows of your own: JSONL files with instruction, context, response and category, and "
        "optionally group. They train and validate, they do not test.",
    )
    raw: RawInstructions = RawInstructions()
    formatted: FormattedInstructions = FormattedInstructions()
    splits: InstructionSplits = InstructionSplits()


class RawJob(RawInstructions):
    """Parameters of the rule ``instructions_raw``: the section, the files that are read, and the cores' licences."""

    domain: DomainCorpus = Field(description="Which files of which cores.")
    licences: dict[SourceName, str] = Field(description="Licence of each core, from the sources file.")


class FormattedJob(FormattedInstructions):
    """Parameters of the rule ``instructions_formatted``: the section, and the licences of the user's own rows."""

    own: dict[SourceName, str] = Field(description="Licence of each source of own rows, from the sources file.")


class SplitsJob(InstructionSplits):
    """Parameters of the rule ``instructions_splits``: the section, and the cores that are held out."""

    test: tuple[SourceName, ...] = Field(min_length=1, description="The held-out cores.")
