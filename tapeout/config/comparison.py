"""How far two results may lie apart and still count as the same: the bounds of the level «metrics»."""

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError

from tapeout.config.section import Section
from tapeout.errors import TapeoutError

DERIVED = (
    "*.behind.*",
    "artifacts.*.digest",
    "artifacts.*.size",
    "changes.*.change",
    "changes.*.interval",
    "subject.action",
    "summary.*.sentence",
)


class InvalidBounds(TapeoutError):
    """The section ``comparison`` of the configuration cannot be read."""


class Bound(Section):
    """Largest distance of two numbers; the wider one of the two counts."""

    absolute: float = Field(0.0, ge=0, allow_inf_nan=False, description="In the unit of the number.")
    relative: float = Field(0.0, ge=0, allow_inf_nan=False, description="Times the larger magnitude of the two.")

    def holds(self, old: float, new: float) -> bool:
        """Whether two numbers lie within the bound of each other."""
        return abs(old - new) <= max(self.absolute, self.relative * max(abs(old), abs(new)))


class Bounds(Section):
    """Bounds of the level «metrics»: what a rebuild may change on another machine. No rule's parameters.

    A number of a JSON file is known by its dotted name, list indices as numbers: ``answers.3.rouge_l``.
    """

    floats: Bound = Field(
        Bound(relative=0.001),
        description="For numbers that no pattern in `named` fits and that are not whole; whole ones must be equal.",
    )
    named: dict[str, Bound] = Field(
        {},
        description="Bounds by a pattern of dotted names with * for any text, e.g. 'steps.*.loss'; the first that fits "
        "counts.",
    )
    ignored: tuple[str, ...] = Field(
        DERIVED,
        description="Patterns of values that only restate others, which are compared themselves: digests of inputs, "
        "numbers set as text. They are passed over at this level.",
    )
    tensors: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="Largest difference of an element, relative to the largest magnitude in its tensor; without it "
        "tensors must be equal bit by bit.",
    )

    def agree(self, name: str, old: Any, new: Any) -> bool:
        """Whether two differing values of a JSON file agree at the level «metrics»."""
        if any(fnmatchcase(name, pattern) for pattern in self.ignored):
            return type(old) is type(new)
        if not (_number(old) and _number(new)):
            return False
        for pattern, bound in self.named.items():
            if fnmatchcase(name, pattern):
                return bound.holds(old, new)
        return not (isinstance(old, int) and isinstance(new, int)) and self.floats.holds(old, new)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _laid(over: dict[str, Any], under: dict[str, Any]) -> dict[str, Any]:
    """Nested mappings laid over others, as Snakemake lays configuration files."""
    inner = {
        key: _laid(value, under[key])
        for key, value in over.items()
        if isinstance(value, dict) and isinstance(under.get(key), dict)
    }
    return {**under, **over, **inner}


def read(paths: list[Path]) -> Bounds:
    """The section ``comparison`` of configuration files, the later laid over the earlier; files that are missing and
    files without it leave the defaults.

    Raises:
        InvalidBounds: a file is no YAML, or the section is wrong.
    """
    section: dict[str, Any] = {}
    for path in paths:
        try:
            found = yaml.safe_load(path.read_bytes()) if path.is_file() else None
            section = _laid((found or {}).get("comparison") or {}, section)
        except (OSError, yaml.YAMLError, TypeError, AttributeError, ValueError) as error:
            raise InvalidBounds(f"{path} cannot be read: {error}.", "Correct the file.") from error
    try:
        return Bounds.model_validate(section)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("comparison", *first["loc"]))
        raise InvalidBounds(
            f"config key {where}: {first['msg']}.", "Correct it; config/schema.json has all."
        ) from error
