"""Which files of the project are needed to run its graph again, and the configuration as files among them."""

import fnmatch
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tapeout.config.folder import listing
from tapeout.config.root import Settings
from tapeout.config.sources import FileSource, FolderSource, UrlSource
from tapeout.errors import TapeoutError
from tapeout.graph.identity.action import Recipe
from tapeout.graph.identity.digest import canonical
from tapeout.graph.layer import Layer
from tapeout.provenance.document import CONFIG, plain

SOURCES = "config/exported-sources.json"
ALWAYS = ("profiles/default", "tapeout", "Makefile", "bin/tapeout", "pyproject.toml", "README.md", "LICENSE")
"""What every project has beside its rules: the layer, the auditor's commands, and how it is run by hand."""
LEFT_OUT = ("__pycache__", ".*", "*.pyc", "*~")
ENVIRONMENT_OF_SNAKEMAKE = "workflow"


class NotPortable(TapeoutError):
    """The project reads a file that no other machine has under that name."""


def configuration(layer: Layer) -> tuple[dict[str, Any], dict[str, Any] | None, dict[str, bytes]]:
    """The configuration as given, the same with every default, and the files in ``code/`` that stand for it.

    Sources go into a file of their own: those that are used, each pinned to what it is now.

    Raises:
        NotPortable: see ``check_sources``.
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
    """Raises ``NotPortable`` if a local source that the graph reads lies outside the project, or behind ``file:``."""
    for name, path in local_sources(settings):
        portable(path, f"Source {name} is read from")
    for name in settings.used_sources:
        source = settings.sources[name]
        if isinstance(source, UrlSource) and source.url.startswith("file:"):
            raise NotPortable(f"Source {name} is a file of this machine: {source.file}.", "Make it kind: file.")


def local_sources(settings: Settings) -> Iterator[tuple[str, str]]:
    """Names and paths of the local files that the graph reads, those in local folders among them."""
    for name in settings.used_sources:
        source = settings.sources[name]
        if isinstance(source, FileSource):
            yield name, source.path
        if isinstance(source, FolderSource):
            portable(source.path, f"Source {name} is read from")
            yield from ((name, str(path)) for path in listing(source).values())


def portable(path: str, what: str) -> str:
    """Return a path that lies inside the project; raises ``NotPortable`` for any other."""
    try:
        return plain(os.path.normpath(path) if not path.startswith("/") else path)
    except ValueError:
        raise NotPortable(
            f"{what} {Path(path).name}, which lies outside the project.",
            "Move it into the project's folder and name it by a relative path; equal bytes rebuild nothing behind it.",
        ) from None


def project_files(layer: Layer, recipes: dict[str, Recipe], also: Iterable[str]) -> list[str]:
    """Paths of all files to take along, relative to the project's folder, sorted.

    Args:
        layer: the workflow as Snakemake read it.
        recipes: of all steps.
        also: files and folders that neither a rule nor an import names, but that are read all the same.

    Raises:
        NotPortable: one of them lies outside the project, or does not exist.
    """
    root, workflow = layer.root, layer.workflow
    given = len(workflow.config_settings.configfiles)  # those of the command line come first; their values are kept
    read = [str(file.get_path_or_uri(secret_free=True)) for file in workflow.included] + workflow.configfiles[given:]
    named = [os.path.relpath(path, root) for path in read]
    named += [path for recipe in recipes.values() for path in recipe.code]
    settings = workflow.globals.get("settings")
    if isinstance(settings, Settings):
        named += [path for _, path in local_sources(settings)]
    found = {portable(path, "The workflow reads") for path in named}
    environments = {recipe.environment for recipe in recipes.values()} | {ENVIRONMENT_OF_SNAKEMAKE}
    found |= {f"envs/{path.name}" for name in environments for path in (root / "envs").glob(f"{name}.*")}
    for path in also:
        if not (root / portable(path, "There is to go along")).exists():
            raise NotPortable(f"There is no {path} in the project.", "Correct the option --also.")
    for path in (*ALWAYS, *also):
        found |= set(_below(root, os.path.normpath(path)))
    return sorted(found)


def _below(root: Path, path: str) -> Iterator[str]:
    """The file ``path``, or all files in the folder ``path``, without what tools leave there."""
    if (root / path).is_dir():
        for inner in (root / path).iterdir():
            if not any(fnmatch.fnmatch(inner.name, pattern) for pattern in LEFT_OUT):
                yield from _below(root, f"{path}/{inner.name}")
    elif (root / path).is_file():
        yield path
