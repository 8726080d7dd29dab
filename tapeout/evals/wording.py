"""Format numbers, intervals and names for sentences and tables of the report."""

from collections import Counter
from collections.abc import Iterable

from tapeout.evals.section import Comparison, Difference, Estimate, Outcome

MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NARROW NO-BREAK SPACE}"
MIN_UNITS = 10
"""Fewest documents or rows for a verdict: the interval of fewer is too narrow, that of a single one has no width."""

DIFFICULTIES = ("easy", "medium", "hard")
"""Levels of difficulty in their order."""


def number(value: float, digits: int = 3, signed: bool = False) -> str:
    """Return a number with a fixed count of decimals and a typographic minus; what rounds to zero has no sign."""
    text = f"{abs(value):.{digits}f}"
    if not float(text):
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def titles_of(categories: Iterable[str]) -> dict[str, str]:
    """Return the titles of categories: their names as words, or as they are where two would have the same title."""
    words = {name: name.replace("_", " ") for name in categories}
    counts = Counter(words.values())
    return {name: title if counts[title] == 1 else name for name, title in words.items()}


def by_difficulty(levels: Iterable[str]) -> list[str]:
    """Return levels of difficulty from easy to hard; others follow in alphabetical order."""
    return sorted(
        levels, key=lambda level: (DIFFICULTIES.index(level) if level in DIFFICULTIES else len(DIFFICULTIES), level)
    )


def percent(value: float, digits: int = 1, signed: bool = False) -> str:
    """Return a fraction or relative change in per cent."""
    return number(100 * value, digits, signed) + SPACE + "%"


def points(value: float, unit: bool = True) -> str:
    """Return a difference of two fractions in percentage points."""
    return number(100 * value, 1, signed=True) + (SPACE + "points" if unit else "")


def value_of(comparison: Comparison, model: str) -> str:
    """Return a model's value of a measure, without its unit."""
    value = comparison.values[model].value
    return number(100 * value, 1) if comparison.measure.percent else number(value)


def interval(estimate: Estimate, is_percent: bool) -> str:
    """Return the interval of a value, without its unit."""
    scale, digits = (100, 1) if is_percent else (1, 3)
    return f"{number(scale * estimate.low, digits)} to {number(scale * estimate.high, digits)}"


def interval_of(comparison: Comparison, model: str) -> str:
    """Return the interval of a model's value of a measure, without its unit."""
    return interval(comparison.values[model], comparison.measure.percent)


def outcome(comparison: Comparison, change: Difference) -> Outcome:
    """Return good or bad for a clear improvement or loss, open for a change that is not clear or has too few units."""
    if comparison.units < MIN_UNITS or not change.clear:
        return "open"
    return "good" if (change.value < 0) == comparison.measure.lower_is_better else "bad"


def p_value(value: float) -> str:
    """Return a p-value as text; values below 0.001 are all shown as "< 0.001"."""
    return f"< {number(0.001, 3)}" if value < 0.001 else number(value, 3)


def too_few(comparison: Comparison) -> str:
    """Return the end of a sentence without a verdict: that there are too few units, if so."""
    few = comparison.units < MIN_UNITS
    return f"; {comparison.units} {comparison.measure.unit} are too few for a verdict" if few else ""


def why_open(comparison: Comparison) -> str:
    """Return why a change of a measure gives no verdict."""
    few = comparison.units < MIN_UNITS
    return f"{comparison.units} {comparison.measure.unit} are too few" if few else "the change is not clear"
