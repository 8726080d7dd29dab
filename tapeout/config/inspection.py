"""What is looked at before anything trains: contamination, leaks, drops, rows without a target; and the bounds."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tapeout.config.section import Section
from tapeout.config.sources import SourceName

Bound = Annotated[float, Field(ge=0, le=1)]
"""A share of rows."""


class Gates(Section):
    """Bounds on the data. What is above one stops every training; the report is made all the same, and shows why.

    Sets go by the names of their artifacts: ``corpus/domain``, ``instructions/<set>``.
    """

    contaminated: float = Field(
        0.05, ge=0, le=1, description="Largest share of the rows of a test set that a training set may hold."
    )
    contaminated_of: dict[str, Bound] = Field({}, description="Another such bound for single test sets.")
    dropped: float = Field(
        0.5, ge=0, le=1, description="Largest share of a set's rows or documents that a step may leave out."
    )
    dropped_of: dict[str, Bound] = Field({}, description="Another such bound for single sets.")
    without_target: float = Field(
        0.0, ge=0, le=1, description="Largest share of the training rows of a set in which no token has a loss."
    )
    leaked: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Largest share of validation and test rows with a question or a group that training rows have.",
    )


class Looking(Section):
    """How test rows are looked for in training text, and how many rows are shown."""

    words: int = Field(
        13, ge=4, description="Words and marks in a run that is looked for (13 as in GPT-3, arXiv 2005.14165, app. C)."
    )
    covered: float = Field(
        0.5, gt=0, le=1, description="Share of a test row's runs from which on a training set is said to hold the row."
    )
    common_rows: int = Field(
        20,
        ge=1,
        description="A run that more test rows of a set than this have, and more than common_share of them, is form "
        "(a prompt's template, a licence header) and counts for nothing.",
    )
    common_share: float = Field(0.05, ge=0, le=1, description="See common_rows.")
    samples: int = Field(6, ge=1, description="Training rows of a set that are shown token by token.")


class DataReport(Looking):
    """The report on the data, and the gates."""

    shown: int = Field(10, ge=1, description="Contaminated or leaked rows of a pair of sets that are shown.")
    benchmarks: tuple[SourceName, ...] = Field(
        (), description="Instruction data sets of which every row is a test row, whatever side it is on."
    )
    gates: Gates = Gates()

    @model_validator(mode="after")
    def _once(self) -> Self:
        if len(set(self.benchmarks)) < len(self.benchmarks):
            raise ValueError("benchmarks names a source twice")
        return self


class InspectJob(Looking):
    """Parameters of the rule ``inspected``: how to look, at what, and how rows become tokens."""

    name: str = Field(description="The set: the name of its artifact.")
    tests: tuple[str, ...] = Field(description="Names of the test sets, one for each of the inputs.")
    template: str = Field(description="Prompt template of instruction rows (sft.template).")
    seq_length: int = Field(ge=8, description="Most tokens of an instruction row (sft.seq_length).")


class GatesJob(Section):
    """Parameters of the rule ``gates``."""

    trained: tuple[str, ...] = Field(description="Names of the artifacts that a training reads: their gates stop it.")


class ReportJob(GatesJob):
    """Parameters of the rule ``data_report``."""

    looking: DataReport
    sets: tuple[str, ...] = Field(description="Names of the sets, in the order of the inputs.")
    tests: tuple[str, ...] = Field(description="Names of the test sets, one for each of the inputs.")
    steps: tuple[str, ...] = Field(description="Names of the artifacts whose reports are read, in order.")
