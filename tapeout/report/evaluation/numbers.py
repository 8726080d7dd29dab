"""Write ``report.json`` (form: ``tapeout.report.evaluation.document``)."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tapeout.config.report import EvalReportJob, ReportSettings
from tapeout.data.io.jsonl import write_json
from tapeout.evals.section import Difference, Step
from tapeout.report.evaluation.attempts import examples_of
from tapeout.report.evaluation.document import SCHEMA, Document
from tapeout.report.evaluation.gates import GateResult, measure_gates
from tapeout.report.evaluation.paired_tests import POWER
from tapeout.report.evaluation.report import EvaluationReport
from tapeout.report.evaluation.serving import CERTIFICATE, SERVE_CHECK
from tapeout.report.evaluation.summary import price_of
from tapeout.report.evaluation.tokenizer import BITS, PANEL

DIGITS = 6
"""Decimal digits of every float in report.json."""
INTERVALS = {
    "wilson": "Wilson score interval, of fractions of rows that are right or wrong, and of any fraction where all rows "
    "score 0 or all score 1",
    "bootstrap": "percentile bootstrap, of all other values",
    "changes and relative_changes": "paired percentile bootstrap",
}
TESTS = {
    "mcnemar": "exact McNemar test of rows that are right or wrong, two-sided",
    "permutation": "paired sign-flip permutation test of all other measures, two-sided",
    "corrected": "Holm's correction for all changes of the same table",
    "detectable": f"difference that one test finds with a probability of {POWER:g}, by a normal approximation",
}
GENERATORS = {
    "bootstrap": 'PCG64, seeded with the first 16 bytes of SHA-256 of "<seed>\\n<measure>"',
    "permutation": 'PCG64, seeded likewise from "<seed>\\n<measure>\\n<model before>\\n<model after>\\npermutation"',
}
RECALL = "retrieval/recall.json"
"""Artifact that the numbers of retrieval are computed from."""


def write_numbers(report: EvaluationReport, path: Path) -> list[GateResult]:
    """Write every number of the page as JSON, with its interval and the digests that it was computed from.

    Returns:
        Gates on these numbers.

    Raises:
        UnknownNumber: a gate names a number that the report does not have.
    """
    job, digests = report.job, report.provenance.digests
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": {
            "answer": report.answer,
            "verdicts": [asdict(verdict) for verdict in report.verdicts],
        },
        "subject": {
            "trained_on": list(job.trained_on),
            "held_out": list(job.held_out),
            "general": list(job.general),
            "models": {
                name: {
                    "artifact": report.models[name],
                    "exported": name == job.exported_model,
                    **facts.model_dump(),
                }
                for name, facts in report.facts.items()
            },
            "action": report.action,
        },
        "measures": {name: _measure(report, name) for name in report.comparisons},
        "contamination": {
            task: {**found.as_json(), "computed_from": digests(f"contamination/{task}.json")}
            for task, found in report.contamination.items()
        },
        "facts": _rounded({key: value for section in report.sections for key, value in section.facts.items()}),
        "changes": [{**asdict(change), "table": table.title} for table in report.changes for change in table.lines],
        "findings": asdict(report.findings),
        "cost": _cost(job),
        "run": job.facts.model_dump(mode="json"),
        "tokens_per_byte": {
            corpus: {
                "before": round(text.tokens_before / text.bytes, DIGITS),
                "after": round(text.tokens_after / text.bytes, DIGITS),
                "change": round(text.tokens_after / text.tokens_before - 1, DIGITS),
                "bytes": text.bytes,
                "documents": text.documents,
                "computed_from": digests("tokenizer/report.json", f"corpus/{corpus}"),
            }
            for corpus, text in report.tokenizer.test.items()
        },
        "examples": {
            group.title: [asdict(one) for one in examples_of(group, job.examples)] for group in report.attempts
        },
        "attempts": {
            group.task: [
                {
                    **{"digest": one.digest, "category": one.unit.category, "source": one.unit.source},
                    "models": {
                        model: {"kind": answer.kind, "label": answer.label} for model, answer in one.answers.items()
                    },
                }
                for one in sorted(group.attempts, key=lambda one: one.digest)
            ]
            for group in report.attempts
        },
        "training": {
            model: {
                **log.model_dump(mode="json", exclude_none=True),
                "computed_from": digests(report.models[model]),
            }
            for model, log in report.logs.items()
        },
        **_retrieval(report),
        **_serving(report),
        **_tokenizer(report),
        "artifacts": [asdict(origin) for origin in report.provenance.table()],
        "method": {
            **job.model_dump(mode="json", include=set(ReportSettings.model_fields)),
            "tasks": {name: options for name, _, options in job.tasks},
            "not_evaluated": list(job.not_evaluated),
            "not_searched": list(job.not_searched),
            "intervals": INTERVALS,
            "tests": TESTS,
            "generators": GENERATORS,
        },
    }
    gates = measure_gates(document, job.all_gates)
    document["gates"] = [asdict(gate) for gate in gates]
    document["summary"]["headline"] = report.headline(gates)
    Document.model_validate(document)
    write_json(path, document)
    return gates


def _cost(job: EvalReportJob) -> dict[str, Any]:
    """Return the planned trainings of the exported model, and their price if the configuration has one."""
    trainings = [training.model_dump(mode="json") for training in job.trainings]
    return {"trainings": trainings, "price": _rounded(price_of(job.trainings, job.price))}


def _retrieval(report: EvaluationReport) -> dict[str, Any]:
    """Return recall of retrieval by its key in report.json; nothing if the configuration has no retrieval."""
    if report.recall is None:
        return {}
    return {"retrieval": {**report.recall.as_json(), "computed_from": report.provenance.digests(RECALL)}}


def _measure(report: EvaluationReport, name: str) -> dict[str, Any]:
    comparison = report.comparisons[name]
    document: dict[str, Any] = {
        "label": comparison.measure.label,
        "unit": comparison.measure.unit,
        "units": comparison.units,
        "of": comparison.measure.total,
        "models": {
            model: {
                **_rounded(asdict(estimate)),
                "computed_from": report.provenance.digests(*report.origins[name][model]),
            }
            for model, estimate in comparison.values.items()
        },
        "changes": _steps(comparison.changes),
    }
    if (found := report.clean.get(name)) is not None:
        document["clean"] = {
            "searched": found.searched,
            "contaminated": found.contaminated,
            "share": _rounded(found.share),
            "models": {model: _rounded(asdict(estimate)) for model, estimate in found.values.items()},
        }
    if comparison.relative:
        document["relative_changes"] = _steps(comparison.relative)
    return document


def _steps(changes: Mapping[Step, Difference]) -> dict[str, Any]:
    return {f"{before}_to_{after}": _rounded(asdict(change)) for (before, after), change in changes.items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, DIGITS) if isinstance(value, float) else value


def _serving(report: EvaluationReport) -> dict[str, Any]:
    """Return the checks of the exported model by their key in report.json; nothing if it is not evaluated."""
    if report.serving is None:
        return {}
    return {
        "serving": {**report.serving.as_json(), "computed_from": report.provenance.digests(CERTIFICATE, SERVE_CHECK)}
    }


def _tokenizer(report: EvaluationReport) -> dict[str, Any]:
    """Return the section on the tokenizer by its key in report.json; nothing if it has no new pieces."""
    if report.section is None:
        return {}
    results = [f"evaluation/{name}/{BITS}.json" for name, _ in report.section.labels]
    return {
        "tokenizer": {
            **report.section.section.model_dump(mode="json"),
            "computed_from": report.provenance.digests(PANEL, *results),
        }
    }
