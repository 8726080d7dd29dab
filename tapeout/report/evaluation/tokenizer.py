"""Section on the tokenizer: the form of ``tokenizer_panel.json``, its intervals, and the lines of its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from tapeout.config.report import EvalReportJob, PairedStatistics
from tapeout.config.tokenizer_panel import SURGERY, TrainingCost
from tapeout.evals.section import Comparison, Estimate
from tapeout.evals.task import load_task, read_result
from tapeout.report.evaluation.comparisons import compare
from tapeout.report.evaluation.inputs import Lenient
from tapeout.report.evaluation.statistics import Resampler, ratio, relative_change

PANEL, BITS = "tokenizer_panel.json", "bits_per_byte"
"""Artifact with the counts, and the task by which models are compared."""
LABELS = {SURGERY: "base with new rows, not trained"}
"""Names of further models on the page."""
MAX_PIECES = 24
"""Most used new pieces on the page and in report.json."""
DIGITS = 6


class Text(Lenient):
    """A held-out document: its tokens before and after, and its lines if it is RTL."""

    digest: str
    source: str
    bytes: int
    lines: int
    before: int
    after: int


class Piece(Lenient):
    """A new piece and how often the test text uses it."""

    id: int
    piece: str
    domain: int
    general: int


class Near(Lenient):
    """A piece and the cosine of its row."""

    piece: str
    cosine: float


class Neighbours(Lenient):
    """The pieces whose rows are nearest to that of a new piece."""

    piece: str
    nearest: list[Near]


class SegmentedFile(Lenient):
    """The beginning of a held-out module, as the texts of its tokens."""

    source: str
    path: str
    before: list[str]
    after: list[str]


class Panel(Lenient):
    """``tokenizer_panel.json``; documents are listed by corpus, pieces by use."""

    documents: dict[str, list[Text]] = Field(min_length=1)
    pieces: list[Piece]
    neighbours: list[Neighbours]
    example: SegmentedFile | None
    context: int
    training: TrainingCost | None


class Form(BaseModel):
    """Base of the parts of the section in report.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceTokens(Form):
    """Tokens per byte of a corpus, or of one of its sources; ``source`` is null for the whole corpus."""

    corpus: str
    source: str | None
    documents: int
    bytes: int
    before: Estimate
    after: Estimate
    change: Estimate


class PieceUse(Form):
    """Use of the new pieces on test text, and the most used ones."""

    added: int
    unused: int
    share: dict[str, float]
    most_used: list[Piece]


class Context(Form):
    """Lines of held-out RTL that fit into the context, on average; null if there is none."""

    tokens: int
    lines_before: float | None
    lines_after: float | None


class Hours(Form):
    """Continued pretraining on the same text with both vocabularies, on GPUs of an assumed rate."""

    tokens_before: int
    tokens_after: int
    hours_before: float
    hours_after: float
    gpu: str


class TokenizerSection(Form):
    """The section; ``bits_per_byte`` is by corpus and model."""

    sources: list[SourceTokens]
    pieces: PieceUse
    neighbours: list[Neighbours]
    example: SegmentedFile | None
    context: Context
    training: Hours | None
    bits_per_byte: dict[str, dict[str, Estimate]]


@dataclass(frozen=True)
class TokenizerPage:
    """The section with the comparison of models, from which the page is drawn.

    Attributes:
        section: the content of report.json.
        bits: bits per byte of the models, by the name of the measure.
    """

    section: TokenizerSection
    bits: Mapping[str, Comparison]

    @property
    def labels(self) -> list[tuple[str, str]]:
        """Name of each model and its label on the page."""
        models = next(iter(self.bits.values())).values if self.bits else {}
        return [(name, LABELS.get(name, name)) for name in models]

    @property
    def change_of_hours(self) -> float:
        """Relative change of the GPU hours for the same text; 0 without such a training."""
        hours = self.section.training
        return 0.0 if hours is None else hours.hours_after / hours.hours_before - 1


def build_page(panel: Panel, results: Mapping[str, Path], job: EvalReportJob) -> TokenizerPage:
    """Compute the section.

    Args:
        panel: the counts.
        results: bits per byte of each model that is compared, in order, by name; none if no model is evaluated for the
            section alone.
        job: settings of the intervals, and the options of the task.

    Raises:
        UnusableResult: a result is not that of the task.
    """
    bits = _bits(results, job)
    totals = {corpus: _tokens(corpus, None, texts, job) for corpus, texts in panel.documents.items()}
    used = {corpus: sum(getattr(piece, corpus) for piece in panel.pieces) for corpus in panel.documents}
    rtl = [text for texts in panel.documents.values() for text in texts if text.lines]
    lines, before, after = (sum(getattr(text, name) for text in rtl) for name in ("lines", "before", "after"))
    section = TokenizerSection(
        sources=[
            line
            for corpus, texts in panel.documents.items()
            for line in (totals[corpus], *_by_source(corpus, texts, job))
        ],
        pieces=PieceUse(
            added=len(panel.pieces),
            unused=sum(not any(getattr(piece, corpus) for corpus in panel.documents) for piece in panel.pieces),
            share={
                corpus: round(used[corpus] / sum(text.after for text in texts), DIGITS)
                for corpus, texts in panel.documents.items()
            },
            most_used=panel.pieces[:MAX_PIECES],
        ),
        neighbours=panel.neighbours,
        example=panel.example,
        context=Context(
            tokens=panel.context,
            lines_before=round(panel.context * lines / before, 1) if lines else None,
            lines_after=round(panel.context * lines / after, 1) if lines else None,
        ),
        training=None if panel.training is None else _hours(panel.training, panel.documents),
        bits_per_byte={
            name.partition(".")[2]: {model: _rounded(value) for model, value in comparison.values.items()}
            for name, comparison in bits.items()
        },
    )
    return TokenizerPage(section, bits)


def compared(evaluations: Sequence[Path], further: Mapping[str, Path], job: EvalReportJob) -> dict[str, Path]:
    """Return the results that the section compares, by model: base model, further models, pretrained model.

    Args:
        evaluations: results of the first model for each task, then those of the next model.
        further: results of models that are evaluated for the section alone; without any, nothing is compared.
        job: models and tasks.
    """
    names = [(model, task) for model, _ in job.models for task, _, _ in job.tasks]
    files = dict(zip(names, evaluations, strict=True))
    base, pretrained = (
        {model: files[model, BITS] for model in (name,) if model is not None and further}
        for name in (job.adaptation.base, job.adaptation.pretrained)
    )
    return {**base, **further, **pretrained}


def visible(piece: str) -> str:
    """Return the text of a piece with marks for line breaks and tabs, which a page would show as blanks."""
    return piece.replace("\n", "⏎").replace("\t", "⇥").replace("\r", "␍")


def _tokens(corpus: str, source: str | None, texts: Sequence[Text], settings: PairedStatistics) -> SourceTokens:
    """Return tokens per byte with their intervals; before and after are paired by document."""
    name = f"tokens_per_byte.{corpus}" + (f".{source}" if source else "")
    resampler = Resampler([""] * len(texts), settings.resamples, settings.confidence, settings.seed, name)
    sizes = [text.bytes for text in texts]
    before = ratio([text.before for text in texts], sizes)
    after = ratio([text.after for text in texts], sizes)
    return SourceTokens(
        corpus=corpus,
        source=source,
        documents=len(texts),
        bytes=sum(sizes),
        before=_rounded(resampler.estimate(before)),
        after=_rounded(resampler.estimate(after)),
        change=_rounded(resampler.estimate(relative_change(after, before))),
    )


def _by_source(corpus: str, texts: Sequence[Text], settings: PairedStatistics) -> list[SourceTokens]:
    """Return a line for each source of a corpus that has several."""
    names = sorted({text.source for text in texts})
    parts = [(name, [text for text in texts if text.source == name]) for name in names if len(names) > 1]
    return [_tokens(corpus, name, part, settings) for name, part in parts]


def _hours(cost: TrainingCost, documents: Mapping[str, Sequence[Text]]) -> Hours:
    """Return tokens and GPU hours for the text that the training reads, by the test text's tokens."""
    longer = {
        corpus: sum(text.before for text in texts) / sum(text.after for text in texts)
        for corpus, texts in documents.items()
    }
    fraction = cost.general_fraction
    before = round(cost.tokens * ((1 - fraction) * longer["domain"] + fraction * longer["general"]))
    return Hours(
        tokens_before=before,
        tokens_after=cost.tokens,
        hours_before=before * cost.flop_before / cost.gpu_flops / 3600,
        hours_after=cost.tokens * cost.flop_after / cost.gpu_flops / 3600,
        gpu=cost.gpu,
    )


def _bits(results: Mapping[str, Path], job: EvalReportJob) -> dict[str, Comparison]:
    """Return bits per byte of both corpora for all models."""
    if not results:
        return {}
    module, given = next((module, options) for name, module, options in job.tasks if name == BITS)
    task = load_task(module)
    options = task.options.model_validate(given)
    measured = {name: task.measure(read_result(path, task.result)[1], options) for name, path in results.items()}
    corpora = {
        name: [(measure, units) for measure, units in measures if measure.change is not None]
        for name, measures in measured.items()
    }
    return compare(corpora, job)


def _rounded(found: Estimate) -> Estimate:
    return Estimate(*(round(value, DIGITS) for value in (found.value, found.low, found.high)))
