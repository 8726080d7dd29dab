"""``report.json``: every number of the page, with its interval and the digests of the artifacts behind it."""

from dataclasses import asdict
from typing import Any

import orjson

from tapeout.config.report import Report
from tapeout.evals.bootstrap import Estimate
from tapeout.report.evaluation import verdicts
from tapeout.report.evaluation.figures import Measure
from tapeout.report.evaluation.material import LOGS, TOKENIZER_REPORT, Material
from tapeout.report.evaluation.provenance import CORPORA

DIGITS = 6
"""Decimal digits of every float in the file."""

INTERVALS = {
    "exact_match.models": "Wilson score interval",
    "all other values of models": "percentile bootstrap",
    "changes and relative_changes": "paired percentile bootstrap",
}
"""How the intervals of each kind of number are made."""


def summary(material: Material) -> bytes:
    """Write the numbers as JSON with sorted keys."""
    figures = material.figures
    document = {
        "summary": _summary(material),
        "subject": {
            "trained_on": list(material.params.trained_on),
            "held_out": list(material.params.held_out),
            "general": list(material.params.general),
            "parameters": {model: each.parameters for model, each in material.evaluations.items()},
            "action": material.action,
        },
        "bits_per_byte": {corpus: _measure(each) for corpus, each in figures.bits_per_byte.items()},
        "sft_test_loss": _measure(figures.answer_loss),
        "answer_bits_per_byte": _measure(figures.answer_bits),
        "exact_match": {
            "overall": _measure(figures.exact),
            "by_category": {name: _measure(each) for name, each in figures.exact_by_category.items()},
        },
        "rouge_l": {
            "overall": _measure(figures.rouge),
            "by_category": {name: _measure(each) for name, each in figures.rouge_by_category.items()},
        },
        "finished_answers": {model: round(share, DIGITS) for model, share in figures.finished.items()},
        "changes": [asdict(change) for change in verdicts.changes(figures)],
        "tokens_per_byte": {corpus: _compression(material, corpus) for corpus in CORPORA},
        "generations": [asdict(example) for example in figures.examples],
        "training": {
            model: {**log.model_dump(mode="json"), "behind": material.provenance.behind(LOGS[model])}
            for model, log in material.logs.items()
        },
        "artifacts": [asdict(origin) for origin in material.provenance.table()],
        "method": {
            **{name: getattr(material.params, name) for name in Report.model_fields},
            "intervals": INTERVALS,
        },
    }
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(document, option=options)


def _summary(material: Material) -> dict[str, Any]:
    answers = {
        "domain": verdicts.domain(material.figures.bits_per_byte["domain"], material.params),
        "general": verdicts.general(material.figures.bits_per_byte["general"], material.params),
        "instructions": verdicts.instructions(material.figures.exact, material.params),
    }
    return {
        "headline": verdicts.headline(list(answers.values())),
        **{question: asdict(answer) for question, answer in answers.items()},
    }


def _measure(measure: Measure) -> dict[str, Any]:
    document: dict[str, Any] = {
        "units": measure.units,
        "models": {
            model: {**_estimate(estimate), "behind": dict(measure.behind[model])}
            for model, estimate in measure.values.items()
        },
        "changes": {f"{before}_to_{after}": _estimate(each) for (before, after), each in measure.changes.items()},
    }
    if measure.relative:
        document["relative_changes"] = {
            f"{before}_to_{after}": _estimate(each) for (before, after), each in measure.relative.items()
        }
    return document


def _estimate(estimate: Estimate) -> dict[str, float]:
    return {name: round(value, DIGITS) for name, value in asdict(estimate).items()}


def _compression(material: Material, corpus: str) -> dict[str, Any]:
    text = getattr(material.tokenizer.test, corpus)
    return {
        "before": round(text.tokens_before / text.bytes, DIGITS),
        "after": round(text.tokens_after / text.bytes, DIGITS),
        "change": round(text.tokens_after / text.tokens_before - 1, DIGITS),
        "bytes": text.bytes,
        "documents": text.documents,
        "behind": material.provenance.behind(TOKENIZER_REPORT, CORPORA[corpus]),
    }
