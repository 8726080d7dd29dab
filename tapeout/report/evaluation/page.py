"""``report.html``: one file without any reference to another."""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from tapeout.evals.bootstrap import Estimate
from tapeout.report.evaluation import plots, verdicts
from tapeout.report.evaluation.material import Material
from tapeout.report.page import render as page
from tapeout.report.page import wording


def render(material: Material) -> str:
    """Write the page."""
    filters = {"interval": _interval, "share_interval": _share_interval}
    return page.render(Path(__file__).with_name("page.html.j2"), _context(material), filters)


def _context(material: Material) -> dict[str, Any]:
    figures, params = material.figures, material.params
    summary = [
        verdicts.domain(figures.bits_per_byte["domain"], params),
        verdicts.general(figures.bits_per_byte["general"], params),
        verdicts.instructions(figures.exact, params),
    ]
    # Markup marks as safe what we drew ourselves; matplotlib escapes the labels inside.
    drawn = {
        "bits": Markup(plots.bits_per_byte(figures)),
        "match": Markup(plots.exact_match(figures)),
        "losses": Markup(plots.losses(material.logs)),
        "tokens": Markup(plots.tokens_per_byte(material.tokenizer)),
    }
    return {
        "headline": verdicts.headline(summary),
        "summary": summary,
        "figures": figures,
        "changes": verdicts.changes(figures),
        "models": wording.MODEL_NAMES,
        "evaluations": material.evaluations,
        "tokenizer": material.tokenizer,
        "logs": material.logs,
        "origins": material.provenance.table(),
        "params": params,
        "action": material.action,
        "mostly": verdicts.MOSTLY,
        "plots": drawn,
    }


def _interval(estimate: Estimate, digits: int = 3) -> str:
    return f"{wording.number(estimate.low, digits)} to {wording.number(estimate.high, digits)}"


def _share_interval(estimate: Estimate) -> str:
    low, high = wording.number(100 * estimate.low, 1), wording.number(100 * estimate.high, 1)
    return f"{low} to {high}"
