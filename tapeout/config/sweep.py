"""Section ``sweep``: variants of the configuration that are built side by side in one graph.

A variant is named by its choices, ``learning_rate=0.0003,new_pieces=512``. Its artifacts carry those of its choices
that change them (``tapeout.graph.variants``), so that all variants share the others.
"""

import math
import re
from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import combinations, product
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from tapeout.combinations import join, split
from tapeout.config.section import Section, conflict
from tapeout.config.yaml_files import merge

KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_-]*)*")
"""An axis: a key of the configuration, dotted, or a name of one's own."""
VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
"""A value as it stands in names of artifacts."""
FIXED = ("comparison", "container", "evaluation", "report", "site", "sweep")
"""Sections that every variant shares: results are comparable only if they were measured in the same way."""
SCIENTIFIC = re.compile(r"\d+(\.\d*)?[eE][+-]?\d+")
"""Numbers that YAML reads as text, such as 1e-4."""
MOST = 256
"""Names of combinations in a sweep, at most: each is read as a workflow of its own, which takes about 0.15 seconds."""


def _axis(value: Any) -> Any:
    """Check the form of an axis; its values are checked with the configuration of each variant."""
    named = isinstance(value, Mapping) and all(isinstance(inner, Mapping) for inner in value.values())
    listed = isinstance(value, list) and all(isinstance(item, str | int | float) for item in value)
    if value in ([], {}, None):
        raise ValueError("has no values: list some, or remove the axis")
    if not (named or listed):
        raise ValueError(
            "must be a list of numbers, words or switches, or map names to sections of the configuration, in which"
            " lists and null may stand"
        )
    return value


Axis = Annotated[list[Any] | dict[str, dict[str, Any]], BeforeValidator(_axis)]


class Sweep(Section):
    """Variants of this configuration, and the model by which they are compared. Without axes there are none."""

    axes: dict[str, Axis] = Field(
        {},
        description="What is varied: a key of the configuration with a list of values, such as `dapt.lr: [1e-4, 3e-4]`,"
        " or a name of your own with a section of the configuration for each named value. All combinations are built.",
    )
    exclude: list[str] = Field(
        [], description="Combinations that are left out, as in names of variants: `lr=0.001` or `lr=0.001,blend=half`."
    )
    model: str | None = Field(
        None,
        description="Evaluated model by which the variants are compared; without it the one that is exported.",
    )

    @model_validator(mode="after")
    def _axes_have_names(self) -> "Sweep":
        labels: dict[str, str] = {}
        for key, values in self.axes.items():
            if problem := _problem_of(key, values):
                raise conflict(*problem, ("axes", key))
            if (other := labels.setdefault(_label(key), key)) != key:
                fix = f"Use an axis with named values, with a name other than {_label(key)}."
                raise conflict(f"the axes {other} and {key} would have the same name", fix, ("axes", key))
        return self

    @model_validator(mode="after")
    def _no_key_is_varied_twice(self) -> "Sweep":
        varied = {key: {path for section in self._sections(key) for path in _paths(section)} for key in self.axes}
        for one, other in combinations(self.axes, 2):
            for path, second in product(sorted(varied[one]), sorted(varied[other])):
                if path[: len(second)] == second or second[: len(path)] == path:
                    cause = f"the axes {one} and {other} both set {'.'.join(min(path, second))}"
                    raise conflict(cause, "Set it on one axis only.", ("axes", one), ("axes", other))
        return self

    @model_validator(mode="after")
    def _some_variants_are_left(self) -> "Sweep":
        known = {choice for choices in self.choices.values() for choice in choices}
        for name in self.exclude:
            if unknown := set(split(name)) - known:
                cause = f"sweep.exclude names {min(unknown)}, which is no choice of the sweep"
                raise conflict(cause, f"Use some of: {', '.join(sorted(known))}.", ("exclude",))
        if self.axes and not self.variants:
            raise conflict("sweep.exclude leaves no variant", "Leave out less.", ("exclude",))
        if len(self.combinations) > MOST:
            cause = f"the sweep has {len(self.combinations)} combinations of choices, more than {MOST}"
            raise conflict(cause, "Vary fewer keys at a time.", ("axes",))
        return self

    @property
    def choices(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Values of the configuration for each choice, such as ``lr=0.0003``, by axis."""
        axes: dict[str, dict[str, dict[str, Any]]] = {}
        for key, values in self.axes.items():
            name, labels = _label(key), [_text(value) for value in values]
            choices = [f"{name}={label}" for label in labels]
            axes[name] = dict(zip(choices, self._sections(key), strict=True))
        return axes

    def _sections(self, key: str) -> list[dict[str, Any]]:
        """Return the part of the configuration that each value of an axis sets."""
        values = self.axes[key]
        return list(values.values()) if isinstance(values, dict) else [_nested(key, value) for value in values]

    @property
    def variants(self) -> list[str]:
        """Names of all variants, in the order of the axes and their values."""
        return [join(choices) for choices in self._combinations()] if self.axes else []

    @property
    def combinations(self) -> list[str]:
        """Names that artifacts may carry: some or all choices of a variant, those with fewer choices first."""
        names = {
            join(part): len(part)
            for choices in self._combinations()
            for size in range(1, len(choices) + 1)
            for part in combinations(choices, size)
        }
        return sorted(names, key=lambda name: (names[name], name))

    def overrides(self, name: str) -> dict[str, Any]:
        """Return the values of the configuration that a combination of choices changes."""
        sections = {choice: section for choices in self.choices.values() for choice, section in choices.items()}
        return reduce(merge, (sections[choice] for choice in split(name)), {})

    def _combinations(self) -> Iterator[tuple[str, ...]]:
        excluded = [set(split(name)) for name in self.exclude]
        for choices in product(*self.choices.values()):
            if not any(out <= set(choices) for out in excluded):
                yield choices


def _problem_of(key: str, values: list[Any] | dict[str, dict[str, Any]]) -> tuple[str, str] | None:
    """Return cause and fix of what is wrong with an axis by itself; None if nothing is."""
    sections = list(values.values()) if isinstance(values, dict) else []
    fixed = {name for section in sections for name in section} & set(FIXED)
    if not KEY.fullmatch(key):
        return f"{key} is no key or name of an axis", "Use lower-case letters, digits and _, for example dapt.lr."
    if key.partition(".")[0] in FIXED:
        return f"{key} cannot be varied", "Remove the axis: all variants share that section."
    if fixed:
        return f"the axis {key} varies {min(fixed)}", "Remove it: all variants share that section."
    if sections and "." in key:
        cause = f"the axis {key} is a key of the configuration and maps names"
        return cause, f"Name the axis {_label(key)}, or list the values of the key."
    if len({_text(value) for value in values}) < len(values):
        return f"the axis {key} has a value twice", "Remove one."
    for value in values:
        if not VALUE.fullmatch(_text(value)):
            cause = f"{_text(value)!r} cannot stand in the name of an artifact"
            return cause, "Map a name of letters, digits, ., _, + and - to it: use an axis with named values."
    return None


def _label(key: str) -> str:
    return key.rpartition(".")[2].replace("-", "_")


def _text(value: Any) -> str:
    """Return a value as it stands in names: 0.0003 and 3e-4 are the same number."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and SCIENTIFIC.fullmatch(value):
        value = float(value)
    if isinstance(value, float) and math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _nested(key: str, value: Any) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    return {first: _nested(rest, value) if rest else value}


def _paths(section: Any) -> Iterator[tuple[str, ...]]:
    """Yield the keys that lead to each value of a section."""
    if isinstance(section, Mapping):
        yield from ((str(key), *path) for key, inner in section.items() for path in _paths(inner))
    else:
        yield ()
