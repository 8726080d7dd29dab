"""Section ``report``: statistics and limits of the evaluation report."""

from typing import Any, Literal

from pydantic import Field, field_validator

from tapeout.config.evaluation import Adaptation, ArtifactName
from tapeout.config.evaluation_gates import EvalGatesJob, Gate, GateName
from tapeout.config.section import Section, conflict
from tapeout.config.sources import SourceName

GENERAL_TEXT = "general text"
"""Name of the gate on general text."""


class Statistics(Section):
    """Parameters of the intervals."""

    seed: int = Field(
        2024,
        ge=0,
        description="Seed of the bootstrap; each measure has a separate generator, seeded from this and the "
        "measure's name.",
    )
    resamples: int = Field(4_000, ge=100, description="Bootstrap resamples per measure.")
    confidence: float = Field(0.95, gt=0.5, lt=1.0, description="Coverage of the intervals.")


class PairedStatistics(Statistics):
    """Parameters of the intervals, and of tests of the difference between two models."""

    permutations: int = Field(
        20_000,
        ge=1_000,
        description="Sign flips of a paired permutation test; all of them are tried where there are no more. A "
        "p-value cannot be smaller than one over this number, before the correction for several comparisons.",
    )


class Price(Section):
    """Prices from which the report states the cost of the adaptation; without one it states hours alone."""

    gpu_hour: float | None = Field(None, ge=0, description="Price of a GPU for an hour.")
    core_hour: float | None = Field(None, ge=0, description="Price of a CPU thread for an hour.")
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="Code of the currency (ISO 4217).")


class PlannedTraining(Section):
    """A training of the exported model as it is planned, by the model of ``tapeout cost``: no time is measured."""

    section: str = Field(description="Section of the configuration with its parameters.")
    artifact: ArtifactName = Field(description="The trained model.")
    tokens: int = Field(ge=1, description="Tokens of all its sequences.")
    gflop: int = Field(ge=1, description="Computation of the model, 10^9 FLOP.")
    steps: int = Field(ge=1, description="Optimizer steps.")
    global_batch_size: int = Field(ge=1, description="Sequences per step.")
    seq_length: int = Field(ge=1, description="Tokens of a sequence.")
    lr: float = Field(gt=0, description="Peak learning rate.")
    precision: str = Field(description="Number format.")
    gpu: str | None = Field(description="GPU model whose rate is assumed; null: CPU threads.")
    units: int = Field(ge=1, description="GPUs, or CPU threads.")
    hours: float = Field(ge=0, description="Planned hours of all GPUs, or of all CPU threads.")


class RunFacts(Section):
    """Facts that the configuration decides. No time, host or path of a machine is among them."""

    changed: dict[str, Any] = Field({}, description="Values that differ from the default configuration, by dotted key.")
    seeds: dict[str, Any] = Field({}, description="All seeds, by dotted key.")
    versions: dict[str, str] = Field({}, description="Versions of the packages that train and evaluate.")


class ReportSettings(PairedStatistics):
    """Statistics and limits from which the verdicts of the report follow."""

    general_tolerance: float = Field(
        0.05,
        ge=0.0,
        description="Relative rise of bits per byte on general text over the base model that counts as unchanged.",
    )
    examples: int = Field(
        1,
        ge=0,
        description="Examples by category and kind (exact, near miss, failure of the shipped model) in report.json, in "
        "print and on the page without JavaScript.",
    )
    price: Price = Field(Price(), description="Prices of the planned hours.")
    gates: dict[GateName, Gate] = Field(
        {},
        description="Limits on numbers of report.json, by name. General text has one already, general_tolerance.",
    )

    @field_validator("gates")
    @classmethod
    def _does_not_replace_another(cls, gates: dict[str, Gate]) -> dict[str, Gate]:
        if GENERAL_TEXT in gates:
            cause = f"gates has the name of the gate on general text, {GENERAL_TEXT}"
            raise conflict(cause, "Set general_tolerance to change that gate, or choose another name.", (GENERAL_TEXT,))
        return gates


class Report(ReportSettings):
    """Section ``report``."""

    on_failure: Literal["report", "stop"] = Field(
        "report",
        description="What a failed gate does beside turning the report red: nothing, or fail the run after the report "
        "is written.",
    )

    @property
    def gates_job(self) -> EvalGatesJob:
        """Parameters of the rule ``eval_gates``."""
        return EvalGatesJob(on_failure=self.on_failure)


class EvalReportJob(ReportSettings):
    """Parameters of the rule ``eval_report``: the section, what was evaluated, and the sources of the corpora."""

    adaptation: Adaptation = Field(description="Models that the summary compares.")
    exported: ArtifactName = Field(description="Artifact of the model that is exported.")
    trainings: tuple[PlannedTraining, ...] = Field((), description="Trainings of the exported model, in order.")
    facts: RunFacts = Field(RunFacts(), description="Configuration, seeds and versions.")
    licences: dict[str, str] = Field({}, description="Licence of each source, by its artifact.")
    lineage: dict[ArtifactName, tuple[ArtifactName, ...]] = Field(
        {}, description="Inputs of the report that each of its inputs is built from."
    )
    models: tuple[tuple[str, str], ...] = Field(description="Name and artifact of each evaluated model, in order.")
    tasks: tuple[tuple[str, str, dict[str, Any]], ...] = Field(
        description="Name, module and options of each task, in order."
    )
    not_evaluated: tuple[SourceName, ...] = Field(description="Sets that are trained on and not evaluated.")
    not_searched: tuple[SourceName, ...] = Field(
        description="Sources with training text of evaluated models that is not searched for test data."
    )
    trained_on: tuple[SourceName, ...] = Field(
        min_length=1, description="Cores of the domain training text, or all sources of the sharded corpus."
    )
    held_out: tuple[SourceName, ...] = Field(min_length=1, description="Cores of the domain test text.")
    general: tuple[SourceName, ...] = Field(description="Sources of the general training text beside the cores.")

    @property
    def exported_model(self) -> str | None:
        """Name of the evaluated model that is exported, if there is one."""
        return next((name for name, artifact in self.models if artifact == self.exported), None)

    @property
    def sections(self) -> dict[str, str]:
        """Section of the configuration of each evaluated model that a planned training makes, by model."""
        planned = {training.artifact: training.section for training in self.trainings}
        return {name: planned[artifact] for name, artifact in self.models if artifact in planned}

    @property
    def all_gates(self) -> dict[str, Gate]:
        """Gates of the section, and that of general text if the report judges it."""
        base, names = self.adaptation.base, [name for name, _ in self.models]
        shipped = self.exported_model or self.adaptation.tuned or self.adaptation.pretrained
        judged = base is not None and shipped in names[names.index(base) + 1 :]
        if not judged or "bits_per_byte" not in [module for _, module, _ in self.tasks]:
            return dict(self.gates)
        number = f"measures.bits_per_byte.general.relative_changes.{base}_to_{shipped}.value"
        return {GENERAL_TEXT: Gate(number=number, max=self.general_tolerance), **self.gates}


class SweepJob(PairedStatistics):
    """Parameters of the rule ``sweep``."""

    model: str = Field(description="Evaluated model by which the variants are compared.")
    axes: dict[str, tuple[str, ...]] = Field(description="Choices of each axis, such as lr=0.001, by the axis's name.")
    variants: tuple[str, ...] = Field(min_length=1, description="Names of the variants, in order.")
    tasks: tuple[tuple[str, str, dict[str, Any]], ...] = Field(
        min_length=1, description="Name, module and options of each task, in order."
    )
