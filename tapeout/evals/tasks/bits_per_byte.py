"""Bits per byte: quality of a model's predictions of held-out text, in a unit independent of its tokenizer.

The measure goes back to Shannon 1951; for models with different vocabularies see Gao et al. 2020, The Pile.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tapeout import progress
from tapeout.evals.advice import change_in_words, forgetting, gentler, in_steps, longer, worst_step
from tapeout.evals.documents import (
    BitsPerByte,
    CorpusScore,
    DocumentScore,
    Options,
    sample_documents,
    score_documents,
)
from tapeout.evals.rows import read_rows
from tapeout.evals.section import (
    Comparison,
    Decisive,
    Evidence,
    Measure,
    Method,
    Outcome,
    Plot,
    Section,
    Step,
    Suggestion,
    Table,
    TableRow,
    Unit,
    Verdict,
)
from tapeout.evals.task import Task
from tapeout.evals.wording import MIN_UNITS, number, outcome, percent, too_few, why_open

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel

CORPORA = ("domain", "general")
BYTES_PER_TOKEN = 3
"""Of test text (2.8 on that of the default configuration)."""
MAX_SOURCES = 12
"""Sources of a corpus on the page, those with the most sampled documents; report.json has all of them."""


class BitsPerByteTask(Task[Options, BitsPerByte]):
    """Bits per byte of the domain and the general test text."""

    options = Options
    result = BitsPerByte

    def files(self, options: Options) -> dict[str, tuple[str, str]]:
        """Return the test split of both corpora."""
        return {corpus: (f"corpus/{corpus}", "test.jsonl") for corpus in CORPORA}

    def score(self, model: "LoadedModel", files: Mapping[str, Path], options: Options) -> BitsPerByte:
        """Score a sample of each corpus."""
        rows = {corpus: read_rows(path, ("text", "source")) for corpus, path in files.items()}
        scores = {}
        for index, (corpus, documents) in enumerate(rows.items()):
            progress.report(index, len(rows), now=f"{corpus} text")
            excerpts = sample_documents(documents, options.max_bytes, options.max_document_bytes)
            scores[corpus] = CorpusScore(
                documents=score_documents(model, excerpts, options.overlap, options.score_batch_tokens),
                documents_by_source=Counter(row["source"] for row in documents),
            )
        return BitsPerByte(corpora=scores)

    def tokens(self, options: Options, context: int) -> float:
        """Return the tokens of the test text, with those that windows repeat."""
        return len(CORPORA) * options.max_bytes / BYTES_PER_TOKEN / (1 - options.overlap)

    def measure(self, result: BitsPerByte, options: Options) -> list[tuple[Measure, list[Unit]]]:
        """Return bits per byte of each corpus, then of each source of a corpus that has several in the sample."""
        corpora, sources = [], []
        for corpus, score in result.corpora.items():
            total = score.documents_by_source
            corpora.append(_measured(corpus, corpus, score.documents, sum(total.values()), "relative"))
            by_source: dict[str, list[DocumentScore]] = {}
            for document in score.documents:
                by_source.setdefault(document.source, []).append(document)
            if len(by_source) > 1:
                sources += [
                    _measured(f"{corpus}.{source}", corpus, documents, total[source])
                    for source, documents in sorted(by_source.items())
                ]
        return corpora + sources

    def describe(self, evidence: Evidence[BitsPerByte]) -> Section:
        """Describe the tables, a plot and the verdicts on both corpora."""
        comparisons = {name: evidence.comparisons[name] for name in map(_name, CORPORA)}
        return Section(
            title="Language modelling",
            tables=[
                Table(
                    "Measure", [TableRow(comparison.measure.label, [name]) for name, comparison in comparisons.items()]
                ),
                *_by_source(evidence.comparisons),
            ],
            verdicts=_verdicts(evidence),
            decisive=_decisive(evidence),
            suggestions=_suggestions(evidence),
            plots=[
                Plot(
                    name="bits",
                    title="Bits per byte on held-out text",
                    caption="How well each model predicts text that it was not trained on",
                    description="Bits per byte by model and corpus",
                    axis="bits per byte (lower is better)",
                    panels={f"{corpus.capitalize()} text": _name(corpus) for corpus in CORPORA},
                )
            ],
            methods=METHODS,
        )


def _name(part: str) -> str:
    return f"bits_per_byte.{part}"


def _measured(
    part: str, corpus: str, documents: Sequence[DocumentScore], total: int, change: Literal["relative"] | None = None
) -> tuple[Measure, list[Unit]]:
    """Return bits per byte of a part of the test text: a corpus, or a source of it."""
    measure = Measure(
        name=_name(part),
        label=f"Bits per byte, {part.replace('.', ' text of ', 1) if part != corpus else f'{corpus} text'}",
        unit="documents",
        data=f"corpus/{corpus}",
        lower_is_better=True,
        total=total,
        change=change,
    )
    return measure, [Unit(document.digest, document.bits, document.bytes) for document in documents]


def _by_source(comparisons: Mapping[str, Comparison]) -> list[Table]:
    """Return a table of the sources, unless every corpus has only one."""
    rows = []
    left_out = 0
    for corpus in CORPORA:
        names = [name for name in comparisons if name.startswith(_name(f"{corpus}."))]
        shown = sorted(sorted(names, key=lambda name: -comparisons[name].units)[:MAX_SOURCES])
        left_out += len(names) - len(shown)
        rows += [TableRow(name.removeprefix(_name("")).replace(".", ": ", 1), [name]) for name in shown]
    more = [f"Without {left_out} sources that have fewer documents; report.json has them."] if left_out else []
    return [Table("Bits per byte by source", rows, notes=more)] if rows else []


def _verdicts(evidence: Evidence[BitsPerByte]) -> list[Verdict]:
    """Answer whether the shipped model predicts domain text better than the base model and kept general text."""
    base, shipped = evidence.adapted.base, evidence.adapted.shipped
    domain, general = (evidence.comparisons[_name(corpus)] for corpus in CORPORA)
    if (
        base is None
        or shipped is None
        or not ((base, shipped) in domain.relative and (base, shipped) in general.relative)
    ):
        return []
    return [_domain(evidence, domain, (base, shipped)), _general(evidence, general, (base, shipped))]


def _decisive(evidence: Evidence[BitsPerByte]) -> list[Decisive]:
    """Return what the first screen shows: the change of both corpora, in the colours of the verdicts."""
    step, verdicts = evidence.adapted.step, _verdicts(evidence)
    if step is None or not verdicts:
        return []
    limit = percent(evidence.general_tolerance)
    clauses, reasons = [], []
    for corpus, verdict, subject in zip(CORPORA, verdicts, ("chip-design", "general"), strict=True):
        change = evidence.comparisons[_name(corpus)].relative[step].value
        words = f"{percent(abs(change))} {'better' if change < 0 else 'worse'}"
        within = f" (limit {limit})" if corpus == "general" else ""
        doubt = ", which the data leaves open" if verdict.outcome == "open" else ""
        lost = _lost(evidence) if corpus == "domain" and verdict.outcome == "part" else ("", "")
        clauses.append(f"predicts {subject} text {words}{lost[0]}{within}{doubt}")
        reasons.append(_reason(evidence, corpus, verdict) or lost[1])
    return [
        Decisive(verdict.question, verdict.outcome, clause, {"bits per byte": _name(corpus)}, reason)
        for corpus, verdict, clause, reason in zip(CORPORA, verdicts, clauses, reasons, strict=True)
    ]


def _lost(evidence: Evidence[BitsPerByte]) -> tuple[str, str]:
    """Return that fine-tuning lost a part of the gain of continued pretraining: in a clause, and as the reason."""
    (base, shipped), pretrained = evidence.adapted.step or ("", ""), evidence.adapted.pretrained or ""
    domain = evidence.comparisons[_name("domain")]
    gain = percent(-domain.relative[base, pretrained].value)
    return (
        f" ({pretrained} alone {gain} better; {shipped} lost part of this gain)",
        f"{shipped} lost part of the gain: {in_steps(domain, (base, pretrained), (pretrained, shipped))}",
    )


def _reason(evidence: Evidence[BitsPerByte], corpus: str, verdict: Verdict) -> str:
    """Return why a corpus has no verdict; empty if it has one."""
    comparison = evidence.comparisons[_name(corpus)]
    if verdict.outcome != "open":
        return ""
    if corpus == "general" and comparison.units >= MIN_UNITS:
        return f"the interval has the limit of {percent(evidence.general_tolerance)} inside"
    return why_open(comparison)


def _suggestions(evidence: Evidence[BitsPerByte]) -> list[Suggestion]:
    """Return what to change where general text was forgotten, or domain text gained nothing or was lost again."""
    adapted, (domain, general) = evidence.adapted, (evidence.comparisons[_name(corpus)] for corpus in CORPORA)
    step, pretrained = adapted.step, adapted.pretrained
    if step is None:
        return []
    risen = general.relative.get(step)
    is_kept = risen is not None and risen.value <= evidence.general_tolerance
    found = [] if is_kept else forgetting(general, adapted)
    if outcome(domain, domain.changes[step]) != "good":
        finding = f"{domain.measure.label}: no clear gain ({change_in_words(domain, step)})"
        found.append(Suggestion(finding, f"Learn more domain text: {longer(adapted, pretrained or step[1])}."))
    lost = (pretrained or "", step[1])
    if lost in domain.changes and outcome(domain, domain.changes[lost]) == "bad":
        finding = f"{domain.measure.label}: {in_steps(domain, lost)}"
        text = f"Make the training of {lost[1]} gentler: {gentler(adapted, lost[1])}."
        if worst_step(general, adapted) == lost and found:
            finding, text = f"{found[0].finding}; {finding}", found[0].text
            found = []
        found.append(Suggestion(finding, text))
    return found


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
    return Verdict("Domain text", reached, f"{begin}: {_moved(evidence, comparison, step)}.", (_name("domain"),))


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
    sentence = f"{begin}: {_moved(evidence, comparison, step)}."
    return Verdict("General text", reached, sentence, (_name("general"),), is_gain=False)


def _moved(evidence: Evidence[BitsPerByte], comparison: Comparison, step: Step) -> str:
    """Return the change of the shipped model, and that of the model between, from which fine-tuning started."""
    change, pretrained = comparison.relative[step], evidence.adapted.pretrained
    before, after = (f"{number(comparison.values[model].value)} ({model})" for model in step)
    low, high = percent(change.low, signed=True), percent(change.high, signed=True)
    sentence = (
        f"bits per byte changed from {before} to {after}, by {percent(change.value, signed=True)} "
        f"({percent(evidence.confidence, 0)} interval {low} to {high}, {comparison.units} {comparison.measure.unit})"
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
        "They judge the model that is exported, after all stages of the adaptation. Domain text: yes if it is clearly "
        "better than the base model by the corrected p-value; only in part if it is clearly worse than the model after "
        "continued pretraining. General text: kept if the whole interval of the relative change is at most "
        f"report.general_tolerance. Fewer than {MIN_UNITS} documents give no verdict.",
    ),
)

TASK = BitsPerByteTask()
