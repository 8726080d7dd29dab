"""Validate a mapping by its model, and find all errors in it, not only the first."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tapeout.config.messages import SCHEMA, dotted, explain
from tapeout.config.origins import Origins
from tapeout.config.problems import Location, Problem
from tapeout.config.renamed import renamed
from tapeout.config.section import CONFLICT, Section

MAX_INTEGER = 2**63 - 1

Model = TypeVar("Model", bound=Section)


def check(
    model: type[Model], content: Mapping[str, Any], origins: Origins, invalid: list[Location]
) -> tuple[Model | None, list[Problem]]:
    """Validate a mapping, and return the result and all problems.

    A wrong value hides errors that concern several values. It is therefore replaced by its default, and the rest is
    validated again; an error that concerns a replaced value is a consequence and not reported.

    Args:
        model: model of the mapping.
        content: the mapping.
        origins: where its values come from.
        invalid: locations that are known to be wrong; those that are found are added.

    Returns:
        The validated mapping, None if the wrong values cannot be replaced; and the problems.
    """
    problems: list[Problem] = []
    while True:
        try:
            result = model.model_validate(content)
            break
        except ValidationError as error:
            details = error.errors(include_url=False)
        before, known = content, [*invalid, *_misspelt(details)]
        for detail in sorted(details, key=lambda detail: -len(detail["loc"])):  # an item before the list that it is in
            keys = [tuple(detail["loc"])]
            if detail["type"] == CONFLICT:
                keys = [(*keys[0], *key) for key in detail["ctx"]["keys"]] or keys
            if not any(overlap(key, bad) for key in keys for bad in known):
                problems.append(explain(detail, model, origins))
                known += [keys[0]] if len(keys) == 1 else []
            given = [key for key in keys if _contains(content, key)]
            remaining = [key for key in given or keys[:1] if not any(key[: len(bad)] == bad for bad in invalid)]
            for key in remaining:
                content, removed = _without(content, key)
                invalid += [removed] if removed else []
        if content == before:
            return None, problems
    problems += _misread(content, result.model_dump(), (), origins)
    return result, problems


def _misspelt(details: list[ErrorDetails]) -> Iterator[Location]:
    """Yield each key that is missing only because it is misspelt: the error about the misspelt one suggests it."""
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    for detail in details:
        *section, name = detail["loc"] or ("",)
        names = [str(key[-1]) for key in unknown if [*key[:-1]] == section]
        if detail["type"] == "missing" and difflib.get_close_matches(str(name), names, n=1):
            yield tuple(detail["loc"])


def outdated(config: Mapping[str, Any], origins: Origins, prefix: str = "") -> list[Problem]:
    """Return a problem for each key that was renamed or removed; see ``tapeout.config.renamed``."""
    fix, skipped = "Use the new name; CHANGELOG.md lists all changes.", prefix.count(".")
    return [
        Problem(f"{message}.", fix, origins.place(tuple(message.partition(" ")[0].rstrip(":").split(".")[skipped:])))
        for message in renamed(config, prefix)
    ]


def overlap(one: Location, other: Location) -> bool:
    """Return whether one location lies in the other."""
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _contains(content: Any, location: Location) -> bool:
    for part in location:
        if not isinstance(content, Mapping) or part not in content:
            return False
        content = content[part]
    return True


def _without(content: Mapping[str, Any], location: Location) -> tuple[Mapping[str, Any], Location | None]:
    """Return a mapping without the value at a location, and the location that was removed.

    Of a list the whole is removed, and where there is no such value, the innermost section that exists.
    """
    path: list[str] = []
    here: Any = content
    for part in location:
        if not isinstance(here, Mapping) or part not in here:
            break
        path.append(str(part))
        here = here[part]
    if not path:
        return content, None

    def remove(mapping: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
        first, *rest = keys
        inner = {} if not rest else {first: remove(mapping[first], rest)}
        return {**{key: value for key, value in mapping.items() if key != first}, **inner}

    return remove(content, path), tuple(path)


def _misread(given: Any, result: Any, location: Location, origins: Origins) -> Iterator[Problem]:
    """Yield a problem for each value that validation takes for something else, or that no artifact can contain."""
    place, name = origins.place(location), dotted(location)
    if isinstance(given, Mapping) and isinstance(result, Mapping):
        for key, value in given.items():
            yield from _misread(value, result.get(key), (*location, key), origins)
    elif isinstance(given, list | tuple) and isinstance(result, list | tuple):
        for index, (value, read) in enumerate(zip(given, result, strict=False)):
            yield from _misread(value, read, (*location, index), origins)
    elif isinstance(given, bool) and isinstance(result, int | float) and not isinstance(result, bool):
        text = origins.text(location) or str(given).lower()
        yield Problem(f"{name} must be a number, not {text}.", f"Correct it; {SCHEMA}.", place, location)
    elif isinstance(result, int) and abs(result) > MAX_INTEGER:
        yield Problem(f"{name} must be less than 2 to the power of 63.", "Write a smaller number.", place, location)
