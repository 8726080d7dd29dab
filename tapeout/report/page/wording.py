"""How numbers, sizes and models are written."""

from collections.abc import Iterable

MODEL_NAMES = {"base": "Base", "dapt": "DAPT", "sft": "SFT"}
"""Short names: the base model, after domain-adaptive pretraining, after supervised fine-tuning."""

MINUS = "\N{MINUS SIGN}"
SPACE = "\N{NARROW NO-BREAK SPACE}"


def number(value: float, digits: int = 3, signed: bool = False) -> str:
    """A number with a fixed count of decimals and a typographic minus; what rounds to zero has no sign."""
    text = f"{abs(value):.{digits}f}"
    if not float(text):
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def percent(value: float, digits: int = 1, signed: bool = False) -> str:
    """A share or relative change in per cent."""
    return number(100 * value, digits, signed) + SPACE + "%"


def points(value: float, unit: bool = True) -> str:
    """A difference of two shares, in percentage points."""
    return number(100 * value, 1, signed=True) + (SPACE + "points" if unit else "")


def size(count: int) -> str:
    """A size in decimal units, as the terminal prints it."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f}{SPACE}{unit}" if unit == "B" else f"{value:.1f}{SPACE}{unit}"


def count(value: int) -> str:
    """An integer in groups of three digits."""
    return f"{value:,}".replace(",", SPACE)


def listed(names: Iterable[str]) -> str:
    """Names as a list in a sentence."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def category(name: str) -> str:
    """A category's name as words."""
    return name.replace("_", " ")
