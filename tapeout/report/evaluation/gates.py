"""Gates of the evaluation: limits on numbers of ``report.json`` that turn the report red, and may fail the run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tapeout.config.evaluation_gates import Gate
from tapeout.errors import TapeoutError, did_you_mean
from tapeout.evals.wording import percent


class UnknownNumber(TapeoutError):
    """A gate names a number that ``report.json`` does not have."""


class EvaluationGateFailed(TapeoutError):
    """A number of the evaluation report is beyond its limit, and the configuration asks to fail then."""


@dataclass(frozen=True)
class GateResult:
    """A limit and the value.

    Attributes:
        gate: its name.
        number: dotted name of the value in ``report.json``.
        value: the value; None if nothing was measured.
        min, max: least and largest value that passes.
        passed: True if the value is within the limits; a gate that measured nothing stops nothing.
    """

    gate: str
    number: str
    value: float | None
    min: float | None
    max: float | None
    passed: bool

    @property
    def limit(self) -> str:
        """The limits in words."""
        parts = [("at least", self.min), ("at most", self.max)]
        return " and ".join(f"{word} {self._in_words(bound)}" for word, bound in parts if bound is not None)

    @property
    def measured(self) -> str:
        """The value in words, in the unit of the limits."""
        return "not measured" if self.value is None else self._in_words(self.value)

    def _in_words(self, value: float) -> str:
        """Return a relative change in per cent, as the rest of the page states it, and any other number as it is."""
        if ".relative_changes." not in self.number:
            return f"{value:g}"
        tenths = round(value, 3)  # a value that rounds to its limit must not look as if it were equal to it
        return percent(value, 1 if value == tenths or tenths not in (self.min, self.max) else 4, signed=True)

    @property
    def sentence(self) -> str:
        """The value beside its limit."""
        return f"{self.number} is {self.measured}, the limit is {self.limit}"


def measure_gates(document: Mapping[str, Any], gates: Mapping[str, Gate]) -> list[GateResult]:
    """Return every gate with its value; a relative change that the measure cannot have is not measured.

    Args:
        document: content of ``report.json``.
        gates: limits by name.

    Raises:
        UnknownNumber: a gate names a value that does not exist or is not a number.
    """
    known = dict(numbers(document))
    results = []
    for name, gate in gates.items():
        # left out where a measure has none, because a numerator is zero; then the change itself is there
        is_left_out = gate.number.replace(".relative_changes.", ".changes.") in known
        if gate.number not in known and not is_left_out:
            raise UnknownNumber(
                f"The gate {name} names {gate.number}, which is not a number of report.json"
                + did_you_mean(gate.number, known),
                f"Correct report.gates.{name}.number; names are keys joined by dots, as in "
                "measures.bits_per_byte.domain.models.sft.value.",
            )
        value = known.get(gate.number)
        results.append(GateResult(name, gate.number, value, gate.min, gate.max, gate.passes(value)))
    return results


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, float | None]]:
    """Yield each number below a value, and each null, with its dotted name; items of lists are named by their index."""
    if isinstance(value, Mapping):
        items: Iterator[tuple[Any, Any]] = iter(value.items())
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield name, value
        return
    for key, item in items:
        yield from numbers(item, f"{name}.{key}" if name else str(key))


def check(results: Sequence[Mapping[str, Any]], stop: bool) -> None:
    """Raise an error if a gate failed and the configuration asks to fail then.

    Args:
        results: gates of ``report.json``.
        stop: whether a failed gate fails the run.

    Raises:
        EvaluationGateFailed: naming each number that is beyond its limit.
    """
    failed = [GateResult(**result) for result in results if not result["passed"]]
    if failed and stop:
        listed = "; ".join(f"{result.gate}: {result.sentence}" for result in failed)
        raise EvaluationGateFailed(
            f"The evaluation is beyond its limits. {listed}.",
            "Read results/eval_report/report.html, then improve the model, or change the limits (report.gates and "
            "report.general_tolerance in the config) or report.on_failure.",
        )
