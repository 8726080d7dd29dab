"""Project files needed to run the graph elsewhere, among them the configuration written as files."""

import fnmatch
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tapeout.config.root import Settings
from tapeout.graph.identity.action import Recipe
from tapeout.graph.identity.digest import canonical
from tapeout.graph.layer import Layer
from tapeout.provenance.document import CONFIG, plain
from tapeout.provenance.errors import ExportRefused

SOURCES = "config/exported-sources.json"
ALWAYS = (
    *("profiles/default", "tapeout", "envs", "Makefile", "bin", "pyproject.toml", "README.md", "LICENSE"),
    "config/default.yaml",
)
"""Files that every project needs besides its rules: this package, its profile, the locks of all environments, which the
Snakefile may read, the files for a reader, and the default configuration, with which the report compares."""
EXCLUDED = ("__pycache__", ".*", "*.pyc", "*~")


def configuration(layer: Layer) -> tuple[dict[str, Any], dict[str, Any] | None, dict[str, bytes]]:
    """Return the configuration as given, the same with every default, and its files in ``code/``.

    The sources are in a separate file, with the used ones only, pinned to their current content.

    Raises:
        ExportRefused: see ``check_sources``.
    """
    given = dict(layer.workflow.globals["config"])
    settings = layer.workflow.globals.get("settings")
    if not isinstance(settings, Settings):
        return given, None, {CONFIG: canonical(given) + b"\n"}
    check_sources(settings)
    given["sources"] = SOURCES
    records = {name: settings.sources[name].identity() for name in settings.used_sources}
    files = {CONFIG: canonical(given) + b"\n", SOURCES: canonical(records) + b"\n"}
    return given, settings.model_dump(mode="json", exclude={"sources"}), files


def check_sources(settings: Settings) -> None:
    """Check that every source can be fetched on another machine.

    Raises:
        ExportRefused: a local source is outside the project's folder.
    """
    for name in settings.used_sources:
        path = settings.sources[name].local_path
        if path is not None:
            portable(path, f"Source {name} is read from")
    for name, path in local_sources(settings):
        portable(path, f"Source {name} is read from")


def local_sources(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield names and paths of the local files that the graph reads, including those in local folders."""
    for name in settings.used_sources:
        yield from ((name, str(path)) for path in settings.sources[name].local_files().values())


def portable(path: str, what: str) -> str:
    """Return a normalized path inside the project; raise ``ExportRefused`` for any other path."""
    try:
        return plain(os.path.normpath(path) if not path.startswith("/") else path)
    except ValueError:
        raise ExportRefused(
            f"{what} {Path(path).name}, which is outside the project's folder.",
            "Move it into the project's folder and use a relative path; equal bytes rebuild nothing downstream.",
        ) from None


def project_files(layer: Layer, recipes: dict[str, Recipe], also: Iterable[str]) -> list[str]:
    """Return the paths of all files to include, relative to the project's folder, sorted.

    ``also`` names files and folders that are read although no rule and no import names them.

    Raises:
        ExportRefused: one of them is outside the project's folder, or does not exist.
    """
    root, workflow = layer.root, layer.workflow
    given = len(workflow.config_settings.configfiles)  # those of the command line come first; their values are exported
    paths = [str(file.get_path_or_uri(secret_free=True)) for file in workflow.included] + workflow.configfiles[given:]
    named = [os.path.relpath(path, root) for path in paths]
    named += [path for recipe in recipes.values() for path in recipe.code]
    settings = workflow.globals.get("settings")
    if isinstance(settings, Settings):
        named += [path for _, path in local_sources(settings)]
    files = {portable(path, "The workflow reads") for path in named}
    for path in also:
        if not (root / portable(path, "--also names")).exists():
            raise ExportRefused(f"There is no {path} in the project.", "Correct --also.")
    for path in (*ALWAYS, *also):
        files |= set(_below(root, os.path.normpath(path)))
    return sorted(files)


def _below(root: Path, path: str) -> Iterator[str]:
    """Yield the file ``path``, or all files in the folder ``path`` except those that tools leave there."""
    if (root / path).is_dir():
        for inner in (root / path).iterdir():
            if not any(fnmatch.fnmatch(inner.name, pattern) for pattern in EXCLUDED):
                yield from _below(root, f"{path}/{inner.name}")
    elif (root / path).is_file():
        yield path
