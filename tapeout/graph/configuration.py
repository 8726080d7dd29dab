"""Recorded configuration of a run: the digests of its files, and the merged values.

Paths are relative to the project's folder, so that a record reads the same in every copy of the project.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapeout.graph.identity.digest import digest_file

SHOWN_FILES = 10_000_000
"""Maximum bytes of a file that counts as configuration; larger files are data, and inputs with their own digest."""


@dataclass(frozen=True)
class Configuration:
    """Configuration of a workflow, with the files it was read from.

    Attributes:
        given: files of ``--configfile`` in the order given; they override ``defaults``.
        defaults: files that the Snakefile names.
        overrides: values of ``--config``; they override all files.
        replaces: whether ``given`` and ``overrides`` replace the defaults (``--replace-workflow-config``).
        files: SHA-256 by path of the files above and of the files that a value names (sources, templates).
        values: the merged values.
    """

    given: tuple[str, ...]
    defaults: tuple[str, ...]
    overrides: dict[str, Any]
    replaces: bool
    files: dict[str, str]
    values: dict[str, Any]

    @classmethod
    def of(cls, workflow: Any) -> "Configuration":
        """Return the configuration of Snakemake's object ``workflow``."""
        settings, values = workflow.config_settings, workflow.globals["config"]
        given = [os.path.relpath(path) for path in settings.configfiles]
        read = [os.path.relpath(path) for path in workflow.configfiles]
        paths = {*read, *(os.path.relpath(path) for path in _named_files(values))}
        return cls(
            given=tuple(given),
            defaults=tuple(path for path in read if path not in given),
            overrides=_portable(dict(settings.config)),
            replaces=bool(settings.replace_workflow_config),
            files={path: digest_file(Path(path)) for path in sorted(paths)},
            values=_portable(values),
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> "Configuration | None":
        """Return the configuration from its ``dataclasses.asdict`` form; None for a record without one."""
        if value is None:
            return None
        return cls(**{**value, "given": tuple(value["given"]), "defaults": tuple(value["defaults"])})

    def __str__(self) -> str:
        """Return the name shown to users: the given files, or else the default files, and the given values."""
        name = " + ".join(self.given or self.defaults) or "no file"
        values = ", ".join(f"{key}={value}" for key, value in sorted(self.overrides.items()))
        return f"{name} with {values}" if values else name

    def is_read_like(self, other: "Configuration | None") -> bool:
        """Return whether both come from the same command line; the content of their files may differ."""
        names = ("given", "overrides", "replaces")
        return other is not None and all(getattr(self, name) == getattr(other, name) for name in names)

    def arguments(self) -> list[str]:
        """Return the Snakemake arguments that reproduce this configuration."""
        values = [f"{key}={value!r}" for key, value in sorted(self.overrides.items())]
        return [
            *(["--configfile", *self.given] if self.given else []),
            *(["--config", *values] if values else []),
            *(["--replace-workflow-config"] if self.replaces else []),
        ]


def _named_files(value: Any) -> Iterator[str]:
    """Yield the paths of small files that values name."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _named_files(item)
    elif isinstance(value, str) and 0 < len(value) < 1000 and "\0" not in value and "\n" not in value:
        path = Path(value)
        if path.is_file() and path.stat().st_size <= SHOWN_FILES and os.access(path, os.R_OK):
            yield value


def _portable(value: Any) -> Any:
    """Return values with absolute paths made relative to the project's folder."""
    if isinstance(value, Mapping):
        return {str(key): _portable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(item) for item in value]
    if isinstance(value, str) and value.startswith("/") and len(value) < 1000 and os.path.lexists(value):
        return os.path.relpath(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
