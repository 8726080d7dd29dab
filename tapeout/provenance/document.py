"""``export.json``: the complete build of a report as one document.

It contains digests; the files are in ``code/`` and ``artifacts/`` of the export. Nothing in it depends on the machine,
the folder or the time of the export, so that equal results give equal documents.
"""

from enum import StrEnum
from functools import cached_property
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tapeout.config.sources import Fetch
from tapeout.graph.identity.action import CONTAINER
from tapeout.graph.identity.digest import canonical, digest_value
from tapeout.graph.identity.manifest import Manifest

NAME = "export.json"
CODE, ARTIFACTS = "code", "artifacts"
CONFIG = "config/exported.json"
"""The whole configuration as one file in ``code/``, for ``--configfile config/exported.json``."""


class Format(StrEnum):
    """Formats of an export; the document and its files are always included."""

    JSON = "json"
    SLSA = "slsa"
    ROCRATE = "rocrate"


def plain(path: str) -> str:
    """Return ``path`` if it is relative and stays inside its folder; raise ``ValueError`` if not."""
    pure = PurePosixPath(path)
    unsafe = pure.is_absolute() or ".." in pure.parts or "\\" in path or not path.isprintable()
    if not pure.parts or unsafe or str(pure) != path:
        raise ValueError(f"{path!r} is not a plain relative path")
    return path


PlainPath = Annotated[str, AfterValidator(plain)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """Base of all parts of the document: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class File(Part):
    """One file of ``code/``, by its path in the project."""

    path: PlainPath
    executable: bool
    size: int = Field(ge=0)
    sha256: Sha256


class Source(Part):
    """One source: its record (URL, version, hashes), its origin in words, its licence."""

    artifact: PlainPath
    record: dict[str, Any]
    origin: str
    licence: str

    def address(self, file: str) -> str:
        """Return the URI of a file of the source, as its kind defines it."""
        return Fetch.model_validate({"record": self.record}).record.address(file)


class Locked(Part):
    """One environment; ``lock`` is the path of its lock file in the project, ``sha256`` the digest of that file."""

    name: str
    digest: Sha256
    packages: dict[str, str]
    lock: PlainPath
    sha256: Sha256


class Image(Part):
    """One container image; ``image`` is its registry path with its digest."""

    image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")]
    digest: Sha256

    @property
    def repository(self) -> str:
        """Registry path without the digest."""
        return self.image.partition("@")[0]


class Input(Part):
    """One input of a step, as its action names it."""

    artifact: PlainPath
    path: str
    digest: Sha256


class Step(Part):
    """An action; see ``tapeout.graph.identity.action``."""

    schema_: Literal[1, 2] = Field(alias="schema")
    artifact: PlainPath
    script: PlainPath
    code: dict[PlainPath, Sha256]
    environment: dict[Literal["name", "digest", "python"], str]
    params: dict[str, Any]
    inputs: dict[str, Input | list[Input]]
    plugins: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    fetches: bool = False

    def each_input(self) -> list[tuple[str, Input]]:
        """Return all inputs with their names, sorted by name."""
        return [(name, item) for name, value in sorted(self.inputs.items()) for item in _listed(value)]


def _listed(value: Input | list[Input]) -> list[Input]:
    return value if isinstance(value, list) else [value]


class Document(Part):
    """The whole document.

    Attributes:
        target: the exported artifact.
        artifacts: manifests of the target and of everything upstream of it, in dependency order.
        actions: actions of these artifacts, by digest.
        sources: sources, in the order of ``artifacts``.
        environments: environments of the steps, by name.
        images: container images of the other steps, by digest; left out of the file if there are none.
        python: Python version of the environments.
        machine: platform that the digests of the environments are for.
        configuration: configuration as given.
        resolved: configuration with every default, if the project has ``settings``.
        code: files of ``code/``, sorted.
        carried: artifacts whose files are included, sorted; among them the target.
    """

    kind: Literal["tapeout export"] = "tapeout export"
    version: Literal[1] = 1
    target: PlainPath
    artifacts: list[dict[str, Any]]
    actions: dict[Sha256, dict[str, Any]]
    sources: list[Source]
    environments: list[Locked]
    images: list[Image] = []
    python: str
    machine: str
    configuration: dict[str, Any]
    resolved: dict[str, Any] | None
    code: list[File]
    carried: list[PlainPath]

    @cached_property
    def manifests(self) -> dict[str, Manifest]:
        """Manifests by artifact name, in the order of the document."""
        return {value["artifact"]: Manifest.from_json(value) for value in self.artifacts}

    def step(self, artifact: str) -> Step:
        """Return the action that built an artifact."""
        return Step.model_validate(self.actions[self.manifests[artifact].action])

    def encode(self) -> bytes:
        """Return the bytes of ``export.json``."""
        return canonical(self.model_dump(mode="json", exclude=None if self.images else {"images"})) + b"\n"

    @model_validator(mode="after")
    def _consistent(self) -> "Document":
        """Check that every artifact has its action, and every input is an earlier artifact with the action's digest."""
        known: dict[str, Manifest] = {}
        locks, images = {locked.name for locked in self.environments}, {image.digest for image in self.images}
        for name, manifest in _manifests(self.artifacts).items():
            action = self.actions.get(manifest.action)
            if action is None or digest_value(action) != manifest.action:
                raise ValueError(f"the action of {name} is not the one in its manifest")
            step = Step.model_validate(action)
            named, digest = step.environment["name"], step.environment["digest"]
            known_environment = digest in images if named == CONTAINER else named in locks
            if step.artifact != name or not known_environment:
                raise ValueError(f"the action of {name} builds another artifact, or in an unknown environment")
            for _, needed in step.each_input():
                if needed.artifact not in known or known[needed.artifact].digest(needed.path) != needed.digest:
                    raise ValueError(f"{name} was built from another {needed.artifact}")
            known[name] = manifest
        if set(self.actions) != {manifest.action for manifest in known.values()}:
            raise ValueError("it has actions without an artifact")
        if self.target not in known or not {self.target, *(source.artifact for source in self.sources)} <= set(known):
            raise ValueError("it names artifacts without a manifest")
        if self.target not in self.carried or not set(self.carried) <= set(known):
            raise ValueError("it includes artifacts without a manifest, or not the target")
        return self


def _manifests(values: list[dict[str, Any]]) -> dict[str, Manifest]:
    manifests: dict[str, Manifest] = {}
    for value in values:
        try:
            manifest = Manifest.from_json(value)
        except (KeyError, TypeError) as error:
            raise ValueError(f"a manifest has missing or unknown keys: {error}") from error
        plain(manifest.artifact)
        for entry in manifest.entries:
            if entry.path or manifest.kind == "folder":
                plain(entry.path)
        manifests[manifest.artifact] = manifest
    return manifests
