"""The page of an evaluation report with a section on what was measured: times, hours, rates and signatures.

The artifact has none of these, because it is the same in every run. This page is written beside it on request.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tapeout.config.report import EvalReportJob, PlannedTraining
from tapeout.errors import TapeoutError
from tapeout.evals.wording import percent
from tapeout.report.evaluation.lineage import anchor
from tapeout.report.evaluation.summary import power
from tapeout.report.page.render import render

BEFORE, LINK = '<h2 id="run-facts">', '<li><a href="#run-facts">Run facts</a></li>'
"""Section of the report that the new one precedes, and its line in the contents."""


class OtherPage(TapeoutError):
    """The page of a report has not the form that this version writes."""


@dataclass(frozen=True)
class Measured:
    """One build of an artifact, as the journal of the store has it.

    Attributes:
        artifact: its name.
        digest: of its bytes.
        finished: end of the build, ISO 8601; empty if the journal does not know the build. Then all numbers are 0.
        seconds: duration.
        threads: CPU threads that it had.
        gpus: GPUs that were allocated to it.
        machine: processor and cores, or the GPU model.
        gflop: 10^9 FLOP of the model by the estimate of ``tapeout cost``; 0 if unknown.
        peak: FLOP/s of all its GPUs in the data sheet; 0 without GPUs.
        vouched: who vouches for the bytes: keys that signed the entry, and whether this folder built it.
    """

    artifact: str
    digest: str
    finished: str = ""
    seconds: float = 0.0
    threads: int = 0
    gpus: int = 0
    machine: str = ""
    gflop: float = 0.0
    peak: float = 0.0
    vouched: tuple[str, ...] = ()

    @property
    def cpu_hours(self) -> float:
        """Hours of its threads."""
        return self.threads * self.seconds / 3600

    @property
    def gpu_hours(self) -> float:
        """Hours of its GPUs."""
        return self.gpus * self.seconds / 3600


@dataclass(frozen=True)
class Rate:
    """Speed of a training over the whole step, start and end included.

    Attributes:
        tokens: tokens of all sequences per second.
        flops: FLOP per second.
        mfu: share of the GPUs' peak; None on a CPU.
    """

    training: PlannedTraining
    build: Measured
    tokens: float
    flops: float
    mfu: float | None


def rates(trainings: Iterable[PlannedTraining], builds: Iterable[Measured]) -> list[Rate]:
    """Return the speed of each training that the journal has a build of."""
    by_name = {build.artifact: build for build in builds if build.seconds}
    return [
        Rate(
            training,
            build,
            training.tokens / build.seconds,
            1e9 * training.gflop / build.seconds,
            1e9 * training.gflop / build.seconds / build.peak if build.peak else None,
        )
        for training in trainings
        if (build := by_name.get(training.artifact)) is not None
    ]


def price(job: EvalReportJob, builds: Sequence[Measured]) -> float | None:
    """Return the price of the measured hours; None if the configuration states no price of GPUs or threads used.

    A step with GPUs costs their hours alone, any other one those of its threads.
    """
    gpu = sum(build.gpu_hours for build in builds)
    cpu = sum(build.cpu_hours for build in builds if not build.gpus)
    parts = [(gpu, job.price.gpu_hour), (cpu, job.price.core_hour)]
    if any(hours and rate is None for hours, rate in parts):
        return None
    return sum(hours * (rate or 0.0) for hours, rate in parts)


def with_measured(page: str, job: EvalReportJob, builds: Sequence[Measured]) -> str:
    """Return the page of a report with the section on what was measured.

    Raises:
        OtherPage: the page was written by another version.
    """
    if page.count(BEFORE) != 1 or page.count(LINK) != 1:
        raise OtherPage("The page of the report has no section on run facts.", "Build it again: snakemake eval_report")
    context = {
        "job": job,
        "builds": builds,
        "known": [build for build in builds if build.finished],
        "rates": rates(job.trainings, builds),
        "price": price(job, builds),
    }
    section = render(
        Path(__file__).with_name("section.html.j2"), context, {"anchor": anchor, "power": power, "share": percent}
    )
    link = LINK.replace("run-facts", "this-run").replace("Run facts", "This run")
    return page.replace(LINK, link + LINK).replace(BEFORE, section + BEFORE)
