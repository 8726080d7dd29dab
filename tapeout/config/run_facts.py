"""Facts of a run that its configuration decides: keys that differ from the default, and seeds."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tapeout.config.load import DEFAULTS, load
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
    values, default = dict(flat(_deciding(settings))), dict(flat(_deciding(_defaults())))
    return RunFacts(
        changed={key: value for key, value in values.items() if key not in default or default[key] != value},
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


def _deciding(settings: Settings) -> dict[str, Any]:
    """Return the sections that decide the numbers of the report; what a failed gate does is no such key."""
    sections = settings.model_dump(mode="json", include={*SECTIONS, "evaluation", "report"})
    report = {name: value for name, value in sections["report"].items() if name in ReportSettings.model_fields}
    return {**sections, "report": report}


@cache
def _defaults() -> Settings:
    """Return the default configuration; all defaults of the sections in a project without that file."""
    return load(read_file(DEFAULTS).content if Path(DEFAULTS).exists() else {})
