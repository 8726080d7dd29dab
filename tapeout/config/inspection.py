"""Section ``data_report``: inspection of the data before training, and the limits that stop a training run."""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from tapeout.config.section import Section, conflict
from tapeout.config.sources import SourceName

Fraction = Annotated[float, Field(ge=0, le=1)]
"""Fraction of rows."""


class Gates(Section):
    """Limits on the data. If one is exceeded, no training starts; the report is still written, and shows why.

    Sets go by the names of their artifacts: ``corpus/domain``, ``instructions/<set>``.
    """

    contaminated: float = Field(
        0.05, ge=0, le=1, description="Maximum fraction of the rows of a test set that a training set may contain."
    )
    contaminated_of: dict[str, Fraction] = Field({}, description="Other limits for single test sets.")
    dropped: float = Field(
        0.5, ge=0, le=1, description="Maximum fraction of a set's rows or documents that a step may drop."
    )
    dropped_of: dict[str, Fraction] = Field({}, description="Other limits for single steps.")
    without_loss: float = Field(
        0.0, ge=0, le=1, description="Maximum fraction of the training rows of a set in which no token has a loss."
    )
    leaked: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Maximum fraction of validation and test rows with the question or the group of a training row.",
    )


class OverlapSettings(Section):
    """Settings of the search for test rows in training text, and the number of rows to show."""

    ngram_words: int = Field(
        13, ge=4, description="Words and marks of an n-gram (13 as in GPT-3, arXiv 2005.14165, appendix C)."
    )
    min_overlap: float = Field(
        0.5, gt=0, le=1, description="Fraction of a test row's n-grams from which a training set contains the row."
    )
    common_rows: int = Field(
        20,
        ge=1,
        description="An n-gram in more test rows of a set than this, and in more than common_fraction of them, is "
        "boilerplate (a prompt's template, a licence header) and does not count.",
    )
    common_fraction: float = Field(0.05, ge=0, le=1, description="See common_rows.")
    samples: int = Field(6, ge=1, description="Training rows of a set that are shown token by token.")


class DataReport(OverlapSettings):
    """The data report and its gates."""

    max_examples: int = Field(10, ge=1, description="Contaminated or leaked rows of a pair of sets that are shown.")
    benchmarks: tuple[SourceName, ...] = Field(
        (), description="Instruction data sets of which every row is a test row, whichever its split."
    )
    gates: Gates = Gates()

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.benchmarks)) < len(self.benchmarks):
            raise conflict("benchmarks names a set twice", "Remove one of the two.", "benchmarks")
        return self


class InspectJob(OverlapSettings):
    """Parameters of the rule ``inspected``."""

    name: str = Field(description="The set: the name of its artifact.")
    tests: tuple[str, ...] = Field(description="Names of the test sets, one for each of the inputs.")


class ContaminationSettings(OverlapSettings):
    """Settings of the search for the test data of an evaluation in the training text."""

    training: tuple[str, ...] = Field(description="Names of the training sets, one for each of the inputs.")


class ContaminationJob(ContaminationSettings):
    """Parameters of the rule ``contamination``."""

    task: str = Field(description="Module of the task.")
    options: dict[str, Any] = Field(description="Options of the task.")


class GatesJob(Section):
    """Parameters of the rule ``gates``."""

    trained: tuple[str, ...] = Field(description="Sets and steps that a training run reads: their gates can stop it.")


class DataReportJob(GatesJob):
    """Parameters of the rule ``data_report``."""

    settings: DataReport = Field(description="The section data_report.")
    sets: tuple[str, ...] = Field(description="Names of the sets, in the order of the inputs.")
    tests: tuple[str, ...] = Field(description="Names of the test sets, one for each of the inputs.")
    steps: tuple[str, ...] = Field(description="Names of the artifacts whose reports are read, in order.")
