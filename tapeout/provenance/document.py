"""``export.json``: everything that is known of how a report was made, as one document.

It holds digests, not bytes: the files that it names lie beside it (``code/``, ``artifacts/``). Nothing in it depends on
the machine, the folder or the day on which it was written, so that equal results give equal documents.
"""

from enum import StrEnum
from functools import cached_property
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tapeout.graph.identity.action import CONTAINER
from tapeout.graph.identity.digest import canonical, digest_value
from tapeout.graph.identity.manifest import Manifest

NAME = "export.json"
CODE, ARTIFACTS = "code", "artifacts"
CONFIG = "config/exported.json"
"""The configuration as one file in ``code/``, laid over the project's own: ``--configfile config/exported.json``."""


class Format(StrEnum):
    """What an export can hold beside this document and the files that it names."""

    JSON = "json"
    SLSA = "slsa"
    ROCRATE = "rocrate"


def plain(path: str) -> str:
    """Return ``path`` if it is relative, with slashes, and stays inside its folder; raises ``ValueError`` if not."""
    pure = PurePosixPath(path)
    unsafe = pure.is_absolute() or ".." in pure.parts or "\\" in path or not path.isprintable()
    if not pure.parts or unsafe or str(pure) != path:
        raise ValueError(f"{path!r} is not a plain relative path")
    return path


PlainPath = Annotated[str, AfterValidator(plain)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """What all parts of the document have in common: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class File(Part):
    """One file of ``code/``, by its path in the project."""

    path: PlainPath
    executable: bool
    size: int = Field(ge=0)
    sha256: Sha256


class Source(Part):
    """One thing from outside: its record (address, version, pins), where it is from in words, its licence."""

    artifact: PlainPath
    record: dict[str, Any]
    origin: str
    licence: str


class Locked(Part):
    """One environment; ``lock`` is the path of its lock in the project, ``sha256`` the digest of that file."""

    name: str
    digest: Sha256
    packages: dict[str, str]
    lock: PlainPath
    sha256: Sha256


class Image(Part):
    """One container image; ``image`` is where it was pulled from, with its digest."""

    image: Annotated[str, StringConstraints(pattern=r"^[^\s@]+@sha256:[0-9a-f]{64}$")]
    digest: Sha256

    @property
    def repository(self) -> str:
        """Where it was pulled from."""
        return self.image.partition("@")[0]


class Input(Part):
    """One input of a step, as its action names it."""

    artifact: PlainPath
    path: str
    digest: Sha256


class Step(Part):
    """An action as values with names; see ``tapeout.graph.identity.action`` for what they mean."""

    schema_: Literal[1] = Field(alias="schema")
    artifact: PlainPath
    script: PlainPath
    code: dict[PlainPath, Sha256]
    environment: dict[Literal["name", "digest", "python"], str]
    params: dict[str, Any]
    inputs: dict[str, Input | list[Input]]
    plugins: tuple[str, ...] = ()

    def each_input(self) -> list[tuple[str, Input]]:
        """All inputs with the names that the program knows them by, sorted by those."""
        return [(name, item) for name, found in sorted(self.inputs.items()) for item in _listed(found)]


def _listed(found: Input | list[Input]) -> list[Input]:
    return found if isinstance(found, list) else [found]


class Document(Part):
    """The whole document.

    Attributes:
        target: the artifact that was exported.
        artifacts: manifests of it and of all that it was made from, each after what it needs.
        actions: what made each, by action digest.
        sources: what came from outside, in the order of ``artifacts``.
        environments: what the steps ran in, by name.
        images: container images that the others ran in, by digest; left out of the file if there are none.
        python: the Python version of the environments.
        machine: the kind of machine that their digests are for.
        configuration: what the project was given.
        resolved: the same with every default, if the project has settings.
        code: the files of ``code/``, sorted.
        carried: artifacts whose files go along, sorted; the target always does.
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
        """The manifests by artifact name, in the document's order."""
        return {value["artifact"]: Manifest.from_json(value) for value in self.artifacts}

    def step(self, artifact: str) -> Step:
        """The action that made an artifact."""
        return Step.model_validate(self.actions[self.manifests[artifact].action])

    def encode(self) -> bytes:
        """The bytes of ``export.json``."""
        return canonical(self.model_dump(mode="json", exclude=None if self.images else {"images"})) + b"\n"

    @model_validator(mode="after")
    def _consistent(self) -> "Document":
        """Every artifact has its action, every input is an artifact before it, with the digest that the action says."""
        known: dict[str, Manifest] = {}
        locks, images = {found.name for found in self.environments}, {found.digest for found in self.images}
        for name, manifest in _manifests(self.artifacts).items():
            action = self.actions.get(manifest.action)
            if action is None or digest_value(action) != manifest.action:
                raise ValueError(f"the action of {name} is not the one that its manifest names")
            step = Step.model_validate(action)
            named, digest = step.environment["name"], step.environment["digest"]
            there = digest in images if named == CONTAINER else named in locks
            if step.artifact != name or not there:
                raise ValueError(f"the action of {name} makes something else, or in an environment that is not there")
            for _, needed in step.each_input():
                if needed.artifact not in known or known[needed.artifact].digest(needed.path) != needed.digest:
                    raise ValueError(f"{name} was made from another {needed.artifact}")
            known[name] = manifest
        if set(self.actions) != {manifest.action for manifest in known.values()}:
            raise ValueError("it has actions of no artifact")
        if self.target not in known or not {self.target, *(source.artifact for source in self.sources)} <= set(known):
            raise ValueError("it names artifacts that it does not describe")
        if self.target not in self.carried or not set(self.carried) <= set(known):
            raise ValueError("it says that it carries what it does not describe")
        return self


def _manifests(values: list[dict[str, Any]]) -> dict[str, Manifest]:
    found: dict[str, Manifest] = {}
    for value in values:
        try:
            manifest = Manifest.from_json(value)
        except (KeyError, TypeError) as error:
            raise ValueError(f"a manifest lacks or has too much: {error}") from error
        plain(manifest.artifact)
        for entry in manifest.entries:
            if entry.path or manifest.kind == "folder":
                plain(entry.path)
        found[manifest.artifact] = manifest
    return found
