"""Contribution of a task to the evaluation report: measures, and a description of its section of the page.

A task states what is shown, the report computes the intervals and draws the page (``tapeout.report.evaluation``). A
task therefore needs neither a template nor a plotting library.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar

ResultT = TypeVar("ResultT")

Outcome = Literal["good", "part", "open", "bad"]
"""Answer to a question of the summary: yes, in part, the interval allows both, no."""

Kind = Literal["exact", "near miss", "failure"]
"""How good an answer is."""

Interval = Literal["bootstrap", "wilson"]
"""Percentile bootstrap over units, or Wilson's score interval of a fraction of rows."""

Step = tuple[str, str]
"""Two models that are compared, before and after."""


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval.

    Attributes:
        value: computed from all units.
        low, high: ends of the interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Value(Estimate):
    """A measure's value for one model, and the kind of its interval.

    Attributes:
        interval: ``wilson`` where all rows score 0 or all score 1, also if that of the measure is ``bootstrap``.
    """

    interval: Interval


@dataclass(frozen=True)
class Difference(Estimate):
    """A paired difference or relative change between two models, with the test that decides whether it is clear.

    Attributes:
        test: ``mcnemar`` for rows that are right or wrong, else ``permutation``.
        p: p-value of the test.
        corrected: p-value after Holm's correction for all comparisons of the same table.
        clear: True if the corrected p-value is at most one minus the confidence.
        detectable: smallest difference that the test finds in four of five test sets of this size; None if the units
            do not tell, or none can be found.
        basis: what ``detectable`` is computed from: the ``observed`` variance of the difference, or the ``fewest rows``
            by which McNemar's test finds one, where fewer rows differ.
    """

    test: Literal["mcnemar", "permutation"]
    p: float
    corrected: float
    clear: bool
    detectable: float | None
    basis: Literal["observed", "fewest rows"]


@dataclass(frozen=True)
class Unit:
    """One test document or row, as it enters a ratio of sums.

    Attributes:
        digest: identifies the unit; results of two models are paired by it.
        numerator, denominator: e.g. bits and bytes; the measure is the sum of the one over the sum of the other.
        stratum: units are resampled within their stratum, e.g. the category of a question.
    """

    digest: str
    numerator: float
    denominator: float = 1.0
    stratum: str = ""


@dataclass(frozen=True)
class Measure:
    """A number per model: a ratio of sums over the units of a test set.

    Attributes:
        name: stable name, e.g. ``bits_per_byte.domain``; seeds the measure's bootstrap.
        label: name in tables of the page.
        unit: what the units are, in the plural, e.g. ``documents``.
        data: label of the artifact that the units come from.
        lower_is_better: direction of the verdicts on changes.
        percent: whether the values are fractions that are shown in per cent.
        interval: ``bootstrap``, or ``wilson`` for a fraction of rows that are right or wrong.
        change: how a change is stated in the table of changes; None leaves the measure out of it.
        by_stratum: whether each stratum also has a separate measure, ``<name>.<stratum>``.
        total: number of units in the whole test set, of which those evaluated are a sample.
    """

    name: str
    label: str
    unit: str
    data: str
    lower_is_better: bool
    total: int
    percent: bool = False
    interval: Interval = "bootstrap"
    change: Literal["relative", "points"] | None = None
    by_stratum: bool = False


@dataclass(frozen=True)
class Comparison:
    """One measure of all models, on the units that all of them share.

    Attributes:
        units: number of these units.
        values: value for each model.
        changes: paired difference ``after - before``.
        relative: paired relative change, empty where a numerator of a model is not positive.
    """

    measure: Measure
    units: int
    values: Mapping[str, Value]
    changes: Mapping[Step, Difference]
    relative: Mapping[Step, Difference]


@dataclass(frozen=True)
class Adapted:
    """Names of the models that the summary compares; None where the configuration evaluates no such model.

    Attributes:
        base: the model before the adaptation.
        pretrained: the model after continued pretraining.
        tuned: the model after fine-tuning.
        exported: the evaluated model that is exported.
        sections: section of the configuration with the parameters of a model's training, by model; a model that the
            configuration does not train has none.
    """

    base: str | None
    pretrained: str | None
    tuned: str | None
    exported: str | None = None
    sections: Mapping[str, str] = field(default_factory=dict)

    @property
    def shipped(self) -> str | None:
        """The model that verdicts judge: the exported one, else the last one of the adaptation."""
        return self.exported or self.tuned or self.pretrained

    @property
    def step(self) -> Step | None:
        """The base model and the shipped one; None if one of them is not evaluated, or they are the same."""
        base, shipped = self.base, self.shipped
        return None if base is None or shipped is None or base == shipped else (base, shipped)

    @property
    def is_instructed(self) -> bool:
        """True if the shipped model is trained on instructions, so that ``instructions.train`` changes it."""
        section = self.sections.get(self.shipped or "")
        return section != "dapt" if section else self.shipped is not None and self.shipped == self.tuned

    def ordered(self, models: Sequence[str]) -> "Adapted":
        """Return the models without those that are listed after the shipped one, which are no steps towards it.

        Changes are computed from each model to those that are listed after it, so there is none from these.

        Args:
            models: names of all evaluated models, in the order of the configuration.
        """
        later = set(models[models.index(self.shipped) + 1 :]) if self.shipped in models else set()
        base, pretrained = (None if name in later else name for name in (self.base, self.pretrained))
        return replace(self, base=base, pretrained=pretrained)

    @property
    def subject(self) -> str:
        """The shipped model in a sentence."""
        return f"the {'exported ' if self.exported else ''}model {self.shipped}"


@dataclass(frozen=True)
class Evidence(Generic[ResultT]):
    """Results and comparisons from which a task describes its section.

    Attributes:
        options: the task's options.
        results: the task's results by model, in the order of the configuration.
        comparisons: comparisons by name of the measure, including those of strata.
        adapted: models that the summary compares.
        confidence: coverage of the intervals.
        general_tolerance: relative rise of bits per byte on general text that still counts as unchanged.
    """

    options: Any
    results: Mapping[str, ResultT]
    comparisons: Mapping[str, Comparison]
    adapted: Adapted
    confidence: float
    general_tolerance: float


@dataclass(frozen=True)
class Verdict:
    """Answer to a question of the summary, e.g. ``Domain text``, in a sentence with its numbers.

    Attributes:
        measures: names of the measures that it follows from.
        is_gain: whether yes says that something got better; no if it says that nothing was lost.
    """

    question: str
    outcome: Outcome
    sentence: str
    measures: tuple[str, ...]
    is_gain: bool = True


@dataclass(frozen=True)
class Decisive:
    """Numbers of the first screen that decide whether the adaptation helped.

    Attributes:
        title: what is measured, e.g. ``Domain text``.
        outcome: colour of the numbers; that of the verdict, if there is one.
        clause: what the numbers say of the shipped model, as a predicate, e.g. ``predicts domain text 18 % better``.
        measures: names of measures by label, each shown before and after the adaptation.
        reason: why the answer is neither yes nor no, or what limits it; empty if the numbers say all.
    """

    title: str
    outcome: Outcome
    clause: str
    measures: Mapping[str, str]
    reason: str = ""


@dataclass(frozen=True)
class Suggestion:
    """A change of the configuration to try next.

    Attributes:
        finding: the loss, or the gain that is missing, with its number.
        text: what to change, with the keys in backquotes.
    """

    finding: str
    text: str


@dataclass(frozen=True)
class Tile:
    """A number at the top of the page."""

    title: str
    value: str
    detail: str


@dataclass(frozen=True)
class Plot:
    """Values with their intervals, drawn as points with whiskers.

    Attributes:
        name: unique on the page.
        description: what is shown, for readers who cannot see it.
        axis: label of the axis, with the unit.
        panels: names of measures by title. If ``grouped``, there is one panel: titles are rows, in each of them all
            models. Otherwise each measure has a separate panel, in which the models are the rows.
    """

    name: str
    title: str
    caption: str
    description: str
    axis: str
    panels: Mapping[str, str]
    grouped: bool = False


@dataclass(frozen=True)
class TableRow:
    """A row of a table of measures: one measure per group of columns, all on the same units."""

    label: str
    measures: Sequence[str]
    is_total: bool = False


@dataclass(frozen=True)
class Table:
    """A table of measures: models are the columns, once in each group.

    Attributes:
        heading: heading of the first column.
        groups: headings over the columns of the models; a single empty one is not shown.
        notes: paragraphs below the table.
        summary: if not empty, the table is folded, and this line unfolds it.
    """

    heading: str
    rows: Sequence[TableRow]
    groups: Sequence[str] = ("",)
    notes: Sequence[str] = ()
    summary: str = ""


@dataclass(frozen=True)
class Mismatch:
    """First output of a simulation that differs from the expected one.

    Attributes:
        signal: name of the output.
        got, expected: values in hexadecimal digits, of which ``x`` and ``z`` are unknown or undriven bits.
        time: time of the simulation, in the unit of the test bench.
    """

    signal: str
    got: str
    expected: str
    time: int


@dataclass(frozen=True)
class Answered:
    """A test unit as one model answered it. The report shows it as an attempt, and chooses examples among all.

    ``asked``, ``expected``, ``category``, ``source`` and ``note`` describe the unit and are the same for every model.

    Attributes:
        asked: the prompt, or the question with its choices.
        expected: an answer that is right; empty if the task knows none.
        answer: what the model answered; empty if there was no room for it.
        kind: how good the answer is.
        category: group of units in which examples of each kind are shown.
        source: where the unit is from, and its licence.
        note: explanation of the expected answer.
        label: verdict in one of few names of the task, e.g. the reason of a failure; empty if ``kind`` says all.
        verdict: how it was judged, in words; empty if the answer tells.
        message: first message of a compiler, simulator or test bench.
        code: Verilog that was taken from the answer.
        mismatch: first wrong output of a simulation.
        facts: further results by name, as text.
    """

    asked: str
    expected: str
    answer: str
    kind: Kind
    category: str
    source: str = ""
    note: str = ""
    label: str = ""
    verdict: str = ""
    message: str = ""
    code: str = ""
    mismatch: Mismatch | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """Definition of a measure: a paragraph of the page, with an optional formula between its two parts."""

    term: str
    text: str
    formula: str = ""
    rest: str = ""


@dataclass(frozen=True)
class Section:
    """A task's part of the page.

    Attributes:
        decisive: numbers of the first screen.
        suggestions: what to change, for each kind of loss.
        facts: further numbers for report.json.
    """

    title: str
    tables: Sequence[Table]
    verdicts: Sequence[Verdict] = ()
    tiles: Sequence[Tile] = ()
    decisive: Sequence[Decisive] = ()
    suggestions: Sequence[Suggestion] = ()
    plots: Sequence[Plot] = ()
    methods: Sequence[Method] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
