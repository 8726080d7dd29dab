"""Bits per byte: quality of a model's predictions of held-out text, in a unit independent of its tokenizer.

The measure goes back to Shannon 1951; for models with different vocabularies see Gao et al. 2020, The Pile.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tapeout import progress
from tapeout.config.evaluation import ScoringOptions
from tapeout.data.io.text import beginning
from tapeout.evals.rows import in_sample_order, read_rows
from tapeout.evals.section import (
    Comparison,
    Evidence,
    Measure,
    Method,
    Outcome,
    Plot,
    Section,
    Step,
    Table,
    TableRow,
    Tile,
    Unit,
    Verdict,
)
from tapeout.evals.task import DIGITS, Result, Task
from tapeout.evals.wording import MIN_UNITS, number, outcome, percent, too_few

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel

CORPORA = ("domain", "general")
BYTES_PER_TOKEN = 3
"""Of test text (2.8 on that of the default configuration)."""


class Options(ScoringOptions):
    """Settings of the scored part of the test text."""

    max_bytes: int = Field(
        81_920,
        ge=1,
        description="UTF-8 bytes of test text read per corpus. Whole documents (see max_document_bytes) are taken in "
        "the order of a hash of their digests until the next one would exceed the limit; the first is always taken.",
    )
    max_document_bytes: int = Field(
        3_072,
        ge=1,
        description="Maximum part of one document that is scored, from its beginning to the last line end within this "
        "limit. Many short pieces give narrower intervals than few long files for the same work.",
    )
    overlap: float = Field(
        0.25,
        ge=0.0,
        lt=1.0,
        description="Fraction of a window of the model's context that repeats the window before it, so that no token "
        "except at the beginning of a document is predicted from fewer than overlap x context tokens.",
    )


class DocumentScore(Result):
    """Bits that the model needs for one document, end token included where the document was read to its end."""

    digest: str
    bytes: int
    tokens: int
    bits: float


class CorpusScore(Result):
    """Scores of the sampled documents of one corpus."""

    documents: list[DocumentScore]
    documents_in_corpus: int


class BitsPerByte(Result):
    """Scores of a model by corpus."""

    corpora: dict[str, CorpusScore]


@dataclass(frozen=True)
class Excerpt:
    """The scored part of a document.

    Attributes:
        text: the document or its beginning.
        digest: digest of the whole document.
        complete: whether ``text`` is the whole document.
    """

    text: str
    digest: str
    complete: bool


def sample_documents(rows: Iterable[dict[str, Any]], max_bytes: int, max_document_bytes: int) -> list[Excerpt]:
    """Choose documents in sample order until the next would exceed ``max_bytes``; long ones are cut at a line end."""
    chosen: list[Excerpt] = []
    size = 0
    for row in in_sample_order(rows):
        text = beginning(row["text"], max_document_bytes)
        size += len(text.encode())
        if chosen and size > max_bytes:
            break
        chosen.append(Excerpt(text, row["digest"], complete=text == row["text"]))
    return chosen


def score_documents(
    model: "LoadedModel", excerpts: Sequence[Excerpt], overlap: float, batch_tokens: int
) -> list[DocumentScore]:
    """Score excerpts one by one as ``[bos] + pieces + [eos]``.

    The sum of bits over the sum of UTF-8 bytes is the measure; sums over documents weigh every token alike. The end
    token has no bytes, but its bits count: a model that predicts where texts end should not pay more for it than
    another. An incomplete excerpt has no end token. The first token is given, not predicted.
    """
    from tapeout.evals.likelihood import Window, nats, split

    windows: list[Window] = []
    tokens: list[int] = []
    for index, excerpt in enumerate(excerpts):
        ids = [*model.encoder.bos_ids, *model.encoder.encode(excerpt.text)]
        if excerpt.complete:
            ids.append(model.encoder.eos)
        windows += split(index, ids, model.facts.context, overlap)
        tokens.append(len(ids) - 1)
    sums = nats(model.network, windows, len(excerpts), batch_tokens)
    return [
        DocumentScore(
            digest=excerpt.digest,
            bytes=len(excerpt.text.encode()),
            tokens=tokens[index],
            bits=round(sums[index] / log(2), DIGITS),
        )
        for index, excerpt in enumerate(excerpts)
    ]


class BitsPerByteTask(Task[Options, BitsPerByte]):
    """Bits per byte of the domain and the general test text."""

    options = Options
    result = BitsPerByte

    def files(self, options: Options) -> dict[str, tuple[str, str]]:
        """Return the test split of both corpora."""
        return {corpus: (f"corpus/{corpus}", "test.jsonl") for corpus in CORPORA}

    def score(self, model: "LoadedModel", files: Mapping[str, Path], options: Options) -> BitsPerByte:
        """Score a sample of each corpus."""
        rows = {corpus: read_rows(path, ("text",)) for corpus, path in files.items()}
        scores = {}
        for index, (corpus, documents) in enumerate(rows.items()):
            progress.report(index, len(rows), now=f"{corpus} text")
            excerpts = sample_documents(documents, options.max_bytes, options.max_document_bytes)
            scores[corpus] = CorpusScore(
                documents=score_documents(model, excerpts, options.overlap, options.score_batch_tokens),
                documents_in_corpus=len(documents),
            )
        return BitsPerByte(corpora=scores)

    def tokens(self, options: Options, context: int) -> float:
        """Return the tokens of the test text, with those that windows repeat."""
        return len(CORPORA) * options.max_bytes / BYTES_PER_TOKEN / (1 - options.overlap)

    def measure(self, result: BitsPerByte, options: Options) -> list[tuple[Measure, list[Unit]]]:
        """Return bits per byte of each corpus."""
        return [
            (
                Measure(
                    name=f"bits_per_byte.{corpus}",
                    label=f"Bits per byte, {corpus} text",
                    unit="documents",
                    data=f"corpus/{corpus}",
                    lower_is_better=True,
                    total=score.documents_in_corpus,
                    change="relative",
                ),
                [Unit(document.digest, document.bits, document.bytes) for document in score.documents],
            )
            for corpus, score in result.corpora.items()
        ]

    def describe(self, evidence: Evidence[BitsPerByte]) -> Section:
        """Describe a table, a plot and the verdicts on both corpora."""
        comparisons = {
            name: comparison for name, comparison in evidence.comparisons.items() if name.startswith("bits_per_byte.")
        }
        return Section(
            title="Language modelling",
            tables=[
                Table(
                    "Measure", [TableRow(comparison.measure.label, [name]) for name, comparison in comparisons.items()]
                )
            ],
            verdicts=_verdicts(evidence),
            tiles=[
                Tile(
                    comparison.measure.label,
                    " → ".join(number(value.value, 2) for value in comparison.values.values()),
                    f"{' → '.join(comparison.values)}, {comparison.units} of {comparison.measure.total} documents",
                )
                for comparison in comparisons.values()
            ],
            plots=[
                Plot(
                    name="bits",
                    title="Bits per byte on held-out text",
                    caption="How well each model predicts text that it was not trained on",
                    description="Bits per byte by model and corpus",
                    axis="bits per byte (lower is better)",
                    panels={f"{name.partition('.')[2].capitalize()} text": name for name in comparisons},
                )
            ],
            methods=METHODS,
        )


def _verdicts(evidence: Evidence[BitsPerByte]) -> list[Verdict]:
    """Answer whether the shipped model predicts domain text better than the base model and kept general text."""
    base, shipped = evidence.adapted.base, evidence.adapted.shipped
    domain, general = (evidence.comparisons[f"bits_per_byte.{corpus}"] for corpus in CORPORA)
    if (
        base is None
        or shipped is None
        or not ((base, shipped) in domain.relative and (base, shipped) in general.relative)
    ):
        return []
    return [_domain(evidence, domain, (base, shipped)), _general(evidence, general, (base, shipped))]


def _domain(evidence: Evidence[BitsPerByte], comparison: Comparison, step: Step) -> Verdict:
    """Answer whether the shipped model predicts domain text better; in part if fine-tuning lost some of it again."""
    subject, pretrained = evidence.adapted.subject, evidence.adapted.pretrained
    reached = outcome(comparison, comparison.relative[step])
    lost = comparison.relative.get((pretrained or "", step[1]))
    if reached == "good" and lost is not None and outcome(comparison, lost) == "bad":
        reached = "part"
    begin = {
        "good": f"Yes, {subject} predicts chip-design text better",
        "part": f"In part: {subject} predicts chip-design text better than {step[0]}, but worse than {pretrained}",
        "open": f"It is open whether {subject} predicts chip-design text better",
        "bad": f"No, {subject} does not predict chip-design text better",
    }[reached]
    return Verdict("Domain text", reached, f"{begin}: {_moved(evidence, comparison, step)}.")


def _general(evidence: Evidence[BitsPerByte], comparison: Comparison, step: Step) -> Verdict:
    """Answer whether bits per byte of the shipped model on general text stayed within the tolerance."""
    change, tolerance = comparison.relative[step], evidence.general_tolerance
    subject, limit = evidence.adapted.subject, percent(tolerance)
    reached: Outcome
    if comparison.units < MIN_UNITS or change.low <= tolerance < change.high:
        reached, begin = "open", f"It is open whether {subject} keeps general text within the limit of {limit}"
    elif change.high <= tolerance:
        reached, begin = "good", f"Yes, {subject} keeps general text, within the limit of {limit}"
    else:
        reached, begin = "bad", f"No, {subject} has partly forgotten general text, beyond the limit of {limit}"
    return Verdict("General text", reached, f"{begin}: {_moved(evidence, comparison, step)}.")


def _moved(evidence: Evidence[BitsPerByte], comparison: Comparison, step: Step) -> str:
    """Return the change of the shipped model, and that of the model between, from which fine-tuning started."""
    change, pretrained = comparison.relative[step], evidence.adapted.pretrained
    before, after = (f"{number(comparison.values[model].value)} ({model})" for model in step)
    low, high = percent(change.low, signed=True), percent(change.high, signed=True)
    sentence = (
        f"bits per byte changed from {before} to {after}, by {percent(change.value, signed=True)} "
        f"({percent(evidence.confidence, 0)} interval {low} to {high})"
    )
    between = comparison.relative.get((step[0], pretrained or ""))
    if pretrained is not None and pretrained != step[1] and between is not None:
        sentence += (
            f"; after continued pretraining alone {number(comparison.values[pretrained].value)} ({pretrained}, "
            f"{percent(between.value, signed=True)})"
        )
    return sentence + too_few(comparison)


METHODS = (
    Method(
        "Bits per byte",
        "Each test document is encoded with the model's own tokenizer as begin token, pieces, end token. It is read in "
        "overlapping windows of the model's context, so that each token is predicted exactly once and, except at the "
        "beginning of a document, from a good part of a window. The end token counts only where a document was read to "
        "its end.",
        "bits per byte = −∑ log₂ p(token | tokens before it) ÷ ∑ UTF-8 bytes",
        "Sums run over all documents, so each token has the same weight. Bytes do not depend on the tokenizer, which "
        "may differ between models; perplexity per token would not be comparable. Documents are a sample in the order "
        "of a hash of their digests, the same for each model; of long documents the beginning is read. (Shannon 1951; "
        "for models with different vocabularies Gao et al. 2020, The Pile.)",
    ),
    Method(
        "Verdicts on text",
        "They judge the model that is exported, after all stages of the adaptation. Domain text: yes if the whole "
        "interval of the relative change from the base model is below zero; only in part if it is clearly worse than "
        "the model after continued pretraining. General text: kept if the whole interval is at most "
        f"report.general_tolerance. Fewer than {MIN_UNITS} documents give no verdict.",
    ),
)

TASK = BitsPerByteTask()
