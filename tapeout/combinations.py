"""Names of the combinations of choices in a sweep, of their artifacts and of their rules.

A combination is written ``lr=0.0003,new_pieces=512``, its choices sorted; the empty one is the configuration itself.
"""

from collections.abc import Iterable
from itertools import combinations

SEPARATOR = ","
FOLDER = "sweep"
"""Folder of the artifacts of all combinations."""
RULE_SEPARATOR = "@"
"""Between a rule and its combination; Snakemake takes a colon in the name of a job for the end of its rule."""


def join(choices: Iterable[str]) -> str:
    """Return the name of a combination."""
    return SEPARATOR.join(sorted(choices))


def split(combination: str) -> list[str]:
    """Return the choices of a combination."""
    return combination.split(SEPARATOR) if combination else []


def smaller(combination: str) -> list[str]:
    """Return the combinations that lack some or all choices of a combination, those with fewer choices first."""
    choices = split(combination)
    return [join(part) for size in range(len(choices)) for part in combinations(choices, size)]


def scoped(combination: str, artifact: str) -> str:
    """Return the name of an artifact of a combination."""
    return f"{FOLDER}/{combination}/{artifact}" if combination else artifact


def unscoped(artifact: str) -> str:
    """Return the name of an artifact without the combination that it belongs to."""
    folder, _, rest = artifact.partition("/")
    combination, _, name = rest.partition("/")
    return name if folder == FOLDER and "=" in combination else artifact


def combination_of(artifact: str) -> str:
    """Return the combination in the name of an artifact; empty if there is none."""
    return artifact.split("/")[1] if unscoped(artifact) != artifact else ""


def split_rule(name: str) -> tuple[str, str]:
    """Return the name of a rule without the combination that it belongs to, and that combination."""
    rule, _, combination = name.partition(RULE_SEPARATOR)
    return rule, combination
