"""Instruction data: the sets, how each is read and split, and how rows become token ids.

Every set is processed in the same way: ``instructions/<set>`` holds its rows by split, ``encoded/<set>`` the
same rows as token ids with loss masks. A format (``tapeout.data.instructions.formats``) says how the files of a set
become rows, and brings the options of the set.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from tapeout.config.corpus import Corpus
from tapeout.config.plugin_options import PluginOptions
from tapeout.config.section import Section, conflict
from tapeout.config.sources import SourceName
from tapeout.errors import did_you_mean

FORMATS = "tapeout.data.instructions.formats"
"""The seam of data formats."""

MODELS_OWN = "model"
"""Value of ``instructions.prompt.chat_template`` that stands for the template of the base model."""

SPLITS = ("train", "validation", "test")


class Split(Section):
    """Fractions of training, validation and test rows, and which rows must share a split."""

    seed: int = Field(1234, ge=0, description="Seed of the choice.")
    validation: float = Field(0.15, ge=0, lt=1, description="Fraction of the rows for validation.")
    test: float = Field(0.05, ge=0, lt=1, description="Fraction of the rows for the test.")
    counts: Literal["stable", "exact"] = Field(
        "stable",
        description="stable: the split of a row depends on its group alone, and counts come near the fractions. exact: "
        "counts equal those of the original script, overall and in each category, but an added row may move others.",
    )
    equal_rows: Literal["drop", "keep"] = Field(
        "drop", description="Rows equal to another one: dropped and counted, or kept in the same split as the other."
    )
    conflicting_rows: Literal["keep", "stop"] = Field(
        "keep", description="Rows with the same question and different answers: kept in one split, or an error."
    )
    near_duplicates: float = Field(
        0.8,
        gt=0,
        le=1,
        description="Minimum similarity (Jaccard index of runs of five characters) at which questions must share a "
        "split; at 1 only equal questions must.",
    )

    @property
    def train(self) -> float:
        """Fraction of the rows for training."""
        return 1 - self.validation - self.test

    @model_validator(mode="after")
    def _something_trains(self) -> Self:
        if self.validation + self.test >= 1:
            raise conflict(
                f"validation {self.validation} and test {self.test} leave nothing to train on",
                "Lower them: their sum must be less than 1.",
                "validation",
                "test",
            )
        return self


class RecordFiles(Section):
    """Options of reading records from the files of sources."""

    files: str = Field("*", description="Pattern of the paths, inside the sources, of the files to read.")
    bad_rows: Literal["stop", "drop"] = Field(
        "stop", description="Action for an unusable row: stop with an error that names it, or drop and count it."
    )
    max_row_bytes: int = Field(
        10_000_000,
        ge=100,
        le=2**30,
        description="Maximum bytes of a JSON line or CSV field; a longer one cannot be used.",
    )
    other_fields: Literal["ignore", "reject"] = Field(
        "ignore",
        description="Fields that the format does not read: ignored and counted (except those that would change what is "
        "learnt, which make a row unusable), or an error (detects misspellings).",
    )
    ignored_fields: tuple[str, ...] = Field(
        (), description="Fields of rows and turns that are ignored and counted, also if a format gives them a meaning."
    )


class FormatOptions(RecordFiles):
    """Options of a set that all formats share; the ``Options`` of a format extend them."""

    format: str = Field(description="Format: a module of tapeout.data.instructions.formats, or a dotted module name.")
    sources: tuple[SourceName, ...] = Field(
        (), description="Sources that the set is made from; the source with the name of the set if empty."
    )
    split: Split = Split()

    def resolved(self, name: str, corpus: Corpus) -> Self:
        """Return the options with everything that they refer to filled in, as the step gets them.

        A format overrides this to replace the path of a file by its text, or to take over a section of the corpus.

        Args:
            name: name of the set.
            corpus: the configuration's section ``corpus``.
        """
        return self.model_copy(update={"sources": tuple(sorted(self.sources)) or (name,)})

    @property
    def held_out(self) -> tuple[SourceName, ...]:
        """Sources whose rows are all test rows; their groups and questions are kept out of training."""
        return ()

    @property
    def has_test_rows(self) -> bool:
        """True if the set has a test split; the options must be resolved."""
        return self.split.test > 0 or bool(self.held_out)


SetOptions = Annotated[SerializeAsAny[FormatOptions], PluginOptions(FORMATS, "format", FormatOptions)]


class Prompt(Section):
    """Conversion of conversations to text."""

    tokens: Literal["aligner", "extra_id", "template"] = Field(
        "aligner",
        description="Marks of the turns: control characters 0, 17 and 18 as in NeMo-Aligner, <extra_id_0> to "
        "<extra_id_2> as in the ChipNeMo paper, or the chat template of a model.",
    )
    chat_template: str | None = Field(
        None,
        description="Where tokens is template: model for the base model's own chat template, which then renders single "
        "questions too and is exported unchanged; or a file with a template (Jinja).",
    )

    @property
    def for_questions(self) -> bool:
        """True if the template is the model's own; it renders all rows."""
        return self.chat_template == MODELS_OWN

    @model_validator(mode="after")
    def _one_template(self) -> Self:
        if (self.tokens == "template") != (self.chat_template is not None):
            raise conflict(
                "chat_template and tokens: template need each other; only one is set",
                "Set both or neither.",
                *(("tokens", "chat_template") if self.tokens == "template" else ("chat_template", "tokens")),
            )
        return self


def _default_sets() -> dict[str, dict[str, str]]:
    return {"rtl": {"format": "rtl"}}


class Instructions(Section):
    """Instruction data sets, and which of them the fine-tuning trains on."""

    sets: dict[SourceName, SetOptions] = Field(
        default_factory=_default_sets, validate_default=True, description="Format and options of each set, by its name."
    )
    train: tuple[SourceName, ...] = Field(
        ("rtl",),
        min_length=1,
        description="Sets that the fine-tuning trains and validates on; the others are only made.",
    )
    prompt: Prompt = Prompt()

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name in self.train:
            if name not in self.sets:
                cause = f"train names {name}, which is not in sets{did_you_mean(name, self.sets)}"
                raise conflict(cause, "Correct the name, or add the set to sets.", "train", ("sets", name))
            if self.train.count(name) > 1:
                raise conflict(f"train names the set {name} twice", "Remove one of the two.", "train")
        return self


class InstructionSetJob(Section):
    """Parameters of the rule ``instructions``."""

    name: SourceName = Field(description="Name of the set.")
    licences: dict[SourceName, str] = Field(description="Licence of each source of the set.")
    options: SetOptions = Field(description="Format and options of the set, resolved.")


class EncodeJob(Section):
    """Parameters of the rule ``encoded``: how rows become token ids."""

    prompt: Prompt = Field(description="Marks of the turns.")
    chat_template: str | None = Field(
        description="Text of the chat template; null if there is none, or if the step reads that of the base model."
    )
    template: str = Field(description="Prompt template of single questions (sft.template).")
    seq_length: int = Field(ge=8, description="Maximum tokens of a row (sft.seq_length).")

    @property
    def for_questions(self) -> str:
        """Template of single questions."""
        return (self.chat_template or "") if self.prompt.for_questions else self.template
