"""All numbers of the report, with intervals, and the digests behind each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import TypeVar

from tapeout.config.report import Report
from tapeout.errors import TapeoutError
from tapeout.evals.bootstrap import Estimate, Resampler, difference, ratio, relative_change
from tapeout.evals.proportion import wilson
from tapeout.evals.result import Answer, AnswerScore, CorpusScore, DocumentScore, Evaluation, Generation
from tapeout.report.evaluation.provenance import CORPORA, MODELS, ROWS, Provenance

Unit = TypeVar("Unit")

STEPS = (("base", "dapt"), ("dapt", "sft"), ("base", "sft"))
"""Pairs of models that are compared, before and after."""


class NothingInCommon(TapeoutError):
    """The evaluations were not made on the same test data."""


@dataclass(frozen=True)
class Measure:
    """One measure for all models, on the same units.

    Attributes:
        name: stable name, e.g. ``bits_per_byte.domain``.
        units: documents or rows that all models share.
        values: estimate by model, with a bootstrap interval; a share of exact answers has Wilson's.
        changes: paired difference ``after - before`` by (before, after).
        relative: paired relative change, for measures above zero only.
        behind: digests by artifact, by model.
    """

    name: str
    units: int
    values: Mapping[str, Estimate]
    changes: Mapping[tuple[str, str], Estimate]
    relative: Mapping[tuple[str, str], Estimate]
    behind: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Example:
    """One question with the expected answer and what each model answered.

    Attributes:
        source, licence: the core that the question is about, and the licence of its text.
    """

    category: str
    source: str
    licence: str
    prompt: str
    expected: str
    generated: Mapping[str, str]
    exact: Mapping[str, bool]


@dataclass(frozen=True)
class Figures:
    """What the page shows.

    Attributes:
        bits_per_byte: by corpus.
        answer_loss: nats per token of the expected answers; comparable between models with one tokenizer only.
        answer_bits: bits per byte of the expected answers; comparable between all.
        exact, rouge: over all rows.
        exact_by_category, rouge_by_category: by category, sorted.
        finished: share of the answers that ended by themselves, by model.
    """

    bits_per_byte: Mapping[str, Measure]
    answer_loss: Measure
    answer_bits: Measure
    exact: Measure
    rouge: Measure
    exact_by_category: Mapping[str, Measure]
    rouge_by_category: Mapping[str, Measure]
    finished: Mapping[str, float]
    examples: Sequence[Example]


def compute(evaluations: Mapping[str, Evaluation], params: Report, provenance: Provenance) -> Figures:
    """Compute every number of the report.

    Args:
        evaluations: by model, keys as in ``MODELS``.

    Raises:
        NothingInCommon: the evaluations share no document of a corpus, or no row.
    """
    builder = _Builder(params, provenance)
    answers = _paired({model: {a.digest: a for a in each.answers} for model, each in evaluations.items()}, "row")
    scores = _paired({model: {s.digest: s for s in e.answer_scores} for model, e in evaluations.items()}, "row")
    categories = sorted({answer.category for answer in answers["base"]})
    return Figures(
        bits_per_byte={corpus: builder.corpus(corpus, evaluations) for corpus in CORPORA},
        answer_loss=builder.answer_loss(scores),
        answer_bits=builder.answer_bits(scores),
        exact=builder.exact("exact_match", answers),
        rouge=builder.rouge("rouge_l", answers),
        exact_by_category={each: builder.exact(f"exact_match.{each}", _only(answers, each)) for each in categories},
        rouge_by_category={each: builder.rouge(f"rouge_l.{each}", _only(answers, each)) for each in categories},
        finished={model: sum(answer.finished for answer in answers[model]) / len(answers[model]) for model in MODELS},
        examples=_examples(answers, params.examples),
    )


class _Builder:
    """Builds measures with the run's bootstrap settings."""

    def __init__(self, params: Report, provenance: Provenance) -> None:
        self._params = params
        self._provenance = provenance

    def corpus(self, corpus: str, evaluations: Mapping[str, Evaluation]) -> Measure:
        scores: dict[str, CorpusScore] = {model: getattr(each, corpus) for model, each in evaluations.items()}
        documents: dict[str, list[DocumentScore]] = _paired(
            {model: {d.digest: d for d in each.documents} for model, each in scores.items()}, f"{corpus} document"
        )
        ratios = {model: ([d.bits for d in each], [float(d.bytes) for d in each]) for model, each in documents.items()}
        strata = [""] * len(documents["base"])
        return self._measure(f"bits_per_byte.{corpus}", strata, ratios, CORPORA[corpus])

    def answer_loss(self, scores: Mapping[str, Sequence[AnswerScore]]) -> Measure:
        ratios = {m: ([s.nats for s in each], [float(s.tokens) for s in each]) for m, each in scores.items()}
        return self._measure("answer_loss", [s.category for s in scores["base"]], ratios, ROWS)

    def answer_bits(self, scores: Mapping[str, Sequence[AnswerScore]]) -> Measure:
        ratios = {m: ([s.nats / log(2) for s in each], [float(s.bytes) for s in each]) for m, each in scores.items()}
        return self._measure("answer_bits_per_byte", [s.category for s in scores["base"]], ratios, ROWS)

    def exact(self, name: str, answers: Mapping[str, Sequence[Answer]]) -> Measure:
        ratios = {model: ([float(a.exact) for a in each], [1.0] * len(each)) for model, each in answers.items()}
        measure = self._measure(name, [a.category for a in answers["base"]], ratios, ROWS)
        shares = {
            m: wilson(sum(a.exact for a in each), len(each), self._params.confidence) for m, each in answers.items()
        }
        return replace(measure, values={model: shares[model] for model in MODELS})

    def rouge(self, name: str, answers: Mapping[str, Sequence[Answer]]) -> Measure:
        ratios = {model: ([a.rouge_l for a in each], [1.0] * len(each)) for model, each in answers.items()}
        return self._measure(name, [a.category for a in answers["base"]], ratios, ROWS)

    def _measure(
        self, name: str, strata: Sequence[str], ratios: Mapping[str, tuple[list[float], list[float]]], data: str
    ) -> Measure:
        params = self._params
        resampler = Resampler(strata, params.resamples, params.confidence, params.seed, name)
        statistics = {model: ratio(*ratios[model]) for model in MODELS}
        positive = all(min(top) > 0 for top, _ in ratios.values())
        return Measure(
            name=name,
            units=resampler.units,
            values={model: resampler.estimate(statistics[model]) for model in MODELS},
            changes={
                (before, after): resampler.estimate(difference(statistics[after], statistics[before]))
                for before, after in STEPS
            },
            relative={
                (before, after): resampler.estimate(relative_change(statistics[after], statistics[before]))
                for before, after in STEPS
            }
            if positive
            else {},
            behind={
                model: self._provenance.behind(f"evaluation/{model}.json", artifact, data)
                for model, artifact in MODELS.items()
            },
        )


def _paired(by_model: Mapping[str, Mapping[str, Unit]], kind: str) -> dict[str, list[Unit]]:
    """Keep the units that every model has, in the order of their digests."""
    shared = sorted(set.intersection(*(set(units) for units in by_model.values())))
    if not shared:
        raise NothingInCommon(
            f"The evaluations of {', '.join(by_model)} share no {kind}.",
            "Evaluate all models with the same test data and the same parameters.",
        )
    return {model: [units[digest] for digest in shared] for model, units in by_model.items()}


def _only(answers: Mapping[str, Sequence[Answer]], category: str) -> dict[str, list[Answer]]:
    return {model: [answer for answer in each if answer.category == category] for model, each in answers.items()}


def _examples(answers: Mapping[str, Sequence[Answer]], count: int) -> list[Example]:
    """Rows that were kept for every model, from the categories in turn."""
    turns: dict[str, int] = {}
    ranked = []
    for row, shown in enumerate(answers["base"]):
        kept: dict[str, Generation] = {}
        for model in MODELS:
            generation = answers[model][row].kept
            if generation is not None:
                kept[model] = generation
        if len(kept) < len(MODELS):
            continue
        turn = turns[shown.category] = turns.get(shown.category, 0) + 1
        example = Example(
            category=shown.category,
            source=shown.source,
            licence=shown.licence,
            prompt=kept["base"].prompt,
            expected=kept["base"].expected,
            generated={model: generation.generated for model, generation in kept.items()},
            exact={model: answers[model][row].exact for model in MODELS},
        )
        ranked.append((turn, shown.category, example))
    return [example for _, _, example in sorted(ranked, key=lambda item: item[:2])[:count]]
