"""Section on the exported model: the forms of the certificate and of the smoke test, and their lines."""

from pathlib import Path
from typing import Any

from pydantic import Field

from tapeout.evals.wording import number
from tapeout.report.evaluation.inputs import Lenient, read_input
from tapeout.report.page.render import count

CERTIFICATE, SERVE_CHECK = "export/certificate.json", "export/serve_check.json"
"""Artifacts that the lines are computed from."""


class TokenIds(Lenient):
    """Numbers of prompts and texts with the token ids of the training."""

    prompts: int
    prompts_with_reserved_names: int


class Logits(Lenient):
    """Comparison of logits; ``largest_difference`` is null if none were compared."""

    largest_difference: float | None


class Parity(Logits):
    """``parity.json`` of the exported folder."""

    compared_with: str
    rounding: float | None
    token_ids: dict[str, TokenIds]
    versions: dict[str, str]
    weights: str


class Answers(Lenient):
    """Numbers of answers that are the evaluated ones, or differ where two tokens were as likely."""

    equal: int
    tie: int


class Certificate(Lenient):
    """``export/certificate.json``."""

    answers: Answers | None
    export: Parity
    logits: Logits | None
    refused: dict[str, int]
    token_ids: dict[str, TokenIds]
    versions: dict[str, str]


class ServeCheck(Lenient):
    """``export/serve_check.json``."""

    answers: Answers
    prompts: dict[str, int] = Field(min_length=1)
    server: str
    version: str


class Serving(Lenient):
    """The exported model as servers see it."""

    certificate: Certificate
    serve_check: ServeCheck

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Comparisons with their outcome. Every line is a success, because a difference ends its step."""
        certificate, check = self.certificate, self.serve_check
        parity, found = certificate.export, certificate.token_ids["fast"]
        left_out = f"; {count(n)} with reserved names are refused" if (n := found.prompts_with_reserved_names) else ""
        versions = f"transformers {parity.versions['transformers']} and {certificate.versions['transformers']}"
        lines = [
            (
                "Token ids",
                f"the same as in training for all {count(found.prompts)} held-out prompts, slow and fast, {versions}"
                + left_out,
            )
        ]
        if certificate.logits is not None and parity.largest_difference is not None:
            found_logits = (parity.largest_difference, certificate.logits.largest_difference or 0.0)
            text = f"within {max(found_logits):.1e} of {parity.compared_with}, weights in {parity.weights}"
            text += f", whose rounding changes them by up to {parity.rounding:.1e}" if parity.rounding else ""
            lines.append(("Logits", text))
        if certificate.answers is not None:
            lines.append(("Greedy answers", _answers(certificate.answers)))
        refused = sum(certificate.refused.values())
        lines.append(("Refused requests", f"all {count(refused)} that the training had not"))
        asked = " and ".join(f"{count(asked)} at {path}" for path, asked in check.prompts.items())
        lines.append((f"Server {check.server} {check.version}", f"{asked}: {_answers(check.answers)}"))
        return lines

    def as_json(self) -> dict[str, Any]:
        """Return the content of report.json."""
        return self.model_dump(mode="json")


def _answers(answers: Answers) -> str:
    ties = f", {number(answers.tie, 0)} where two tokens were as likely" if answers.tie else ""
    return f"{count(answers.equal)} the same as evaluated{ties}"


def read_serving(certificate: Path, serve_check: Path) -> Serving:
    """Read both files.

    Raises:
        UnusableResult: one is missing or lacks a field.
    """
    return Serving(certificate=read_input(certificate, Certificate), serve_check=read_input(serve_check, ServeCheck))
