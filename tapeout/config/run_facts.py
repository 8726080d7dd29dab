"""Facts of a run that its configuration decides: keys that differ from the default, and seeds."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tapeout.config.load import DEFAULTS
from tapeout.config.report import ReportSettings, RunFacts
from tapeout.config.root import Settings
from tapeout.config.yaml_files import read_file

SECTIONS = ("corpus", "pretraining", "instructions", "tokenizer", "base", "base_extended", "dapt", "sft", "methods")
"""Sections that decide what is trained; with ``evaluation`` and ``report`` they decide every number of the report."""
SEEDS = ("seed", "seeds")


def run_facts(settings: Settings, versions: Mapping[str, str]) -> RunFacts:
    """Return the facts of a configuration.

    Args:
        settings: the configuration.
        versions: versions of the packages that train and evaluate, by package.
    """
    values, other = dict(flat(_deciding(settings))), dict(flat(_deciding(settings, exclude_defaults=True)))
    stated = {key: value for key, value in flat(_default_file()) if key in values}
    changed = {key for key, value in stated.items() if values[key] != value} | other.keys() - stated.keys()
    return RunFacts(
        changed={key: value for key, value in values.items() if key in changed},
        seeds={key: value for key, value in values.items() if key.rpartition(".")[2] in SEEDS},
        versions=dict(versions),
    )


def flat(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value that is no mapping, and each empty mapping, with its dotted key."""
    if not isinstance(value, Mapping) or (key and not value):
        yield key, value
        return
    for name, item in value.items():
        yield from flat(item, f"{key}.{name}" if key else str(name))


def _deciding(settings: Settings, exclude_defaults: bool = False) -> dict[str, Any]:
    """Return the sections that decide the numbers of the report; what a failed gate does is no such key."""
    names = {*SECTIONS, "evaluation", "report"}
    sections = settings.model_dump(mode="json", include=names, exclude_defaults=exclude_defaults)
    report = {name: value for name, value in sections.get("report", {}).items() if name in ReportSettings.model_fields}
    instructions = sections.get("instructions", {})
    if exclude_defaults:  # the options of a format are dumped whole otherwise
        given = settings.instructions.sets
        sets = {name: one.model_dump(mode="json", exclude_defaults=True) for name, one in given.items()}
        instructions = {**instructions, "sets": sets}
    return {**sections, "instructions": instructions, "report": report}


@cache
def _default_file() -> dict[str, Any]:
    """Return the content of the default configuration as it is written, without a check of its sources.

    An export has this file, but only those sources that it uses; its facts must be the same.
    """
    return dict(read_file(DEFAULTS).content) if Path(DEFAULTS).exists() else {}
