"""Recipes and actions: a build step as its rule states it, and the same step with the digests of its inputs.

A recipe is read from a Snakemake rule when the workflow is parsed. Once every input is available it becomes an action,
whose digest is the key of the store, of the scratch folder and of the decision whether the step runs.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from tapeout.combinations import split_rule
from tapeout.graph.identity.constants import CONSTANTS
from tapeout.graph.identity.digest import canonical, digest_bytes, digest_value
from tapeout.graph.identity.manifest import Manifest

SCHEMA = 2
CONTAINER = "container"
"""Environment name of a step that runs in a container; no lock may have this name."""
WORK = ("gflop", "parameters", "download_bytes")
"""Resources that state the amount of work of a step."""
ORDERING_PREFIX = "after_"
"""Prefix of ordering-only inputs, which must exist before the program runs but are not passed to it."""


@dataclass(frozen=True)
class Reference:
    """An input: an artifact, or the file or folder at ``path`` in it."""

    artifact: str
    path: str = ""


Inputs = dict[str, Reference | list[Reference]]


@dataclass(frozen=True)
class Recipe:
    """A build step before its inputs are known.

    Memory, partition, host, time and log paths are not part of a step's identity and not stored here.

    Attributes:
        artifact: name of the output.
        rule: name of the rule.
        script: path of the program.
        code: digest of each file of the program's code, by path (``identity.code``).
        environment: name of the lock, or ``CONTAINER``.
        environment_digest: digest of the lock, or of the image.
        params: parameters by name, as JSON values.
        inputs: what the program reads, by the names in the rule.
        resources: the rule's resources, for the cost estimate (``plan.forecast``); not identity.
        image: the container's image with its digest; the repository that it is pulled from is not identity.
        python: the interpreter's command in the container.
        plugins: modules that the program loads by name (``tapeout.plugins``).
        wildcards: the rule's wildcards, part of the job's name in a cluster's queue; not identity.
        fetches: the program reads files and the network outside of the graph; a digest pins what it writes.
    """

    artifact: str
    rule: str
    script: str
    code: dict[str, str]
    environment: str
    environment_digest: str
    params: dict[str, Any]
    inputs: Inputs
    resources: dict[str, int | str | None] = field(default_factory=dict)
    image: str = ""
    python: str = ""
    plugins: tuple[str, ...] = ()
    wildcards: tuple[str, ...] = ()
    fetches: bool = False

    @property
    def threads(self) -> int:
        """Number of threads that the rule requests."""
        return int(self.resources.get("threads") or 1)

    @property
    def work(self) -> list[list[Any]]:
        """Amount of work by the rule's resources; it may depend on other steps' parameters, such as the model size."""
        return work(self.resources)

    @property
    def nodes(self) -> int:
        """Number of nodes that the rule requests."""
        return int(self.resources.get("nodes") or 1)

    @property
    def base_rule(self) -> str:
        """Name of the rule without the combination of a sweep that it belongs to."""
        return split_rule(self.rule)[0]

    @property
    def cost_key(self) -> str:
        """Digest of rule, parameters and amount of work: steps with the same key take about the same time."""
        return digest_value([self.base_rule, self.params, *self.work])

    def references(self) -> Iterator[Reference]:
        """Yield all inputs."""
        for value in self.inputs.values():
            yield from value if isinstance(value, list) else [value]

    def dependencies(self) -> list[str]:
        """Return the names of the artifacts that this step reads, sorted."""
        return sorted({reference.artifact for reference in self.references()})

    def action(self, manifest: Callable[[str], Manifest]) -> "Action":
        """Return the action, given a function from artifact name to manifest."""

        def resolved(reference: Reference) -> dict[str, str]:
            digest = manifest(reference.artifact).digest(reference.path)
            return {"artifact": reference.artifact, "path": reference.path, "digest": digest}

        inputs = {
            name: [resolved(item) for item in value] if isinstance(value, list) else resolved(value)
            for name, value in self.inputs.items()
        }
        return Action(self.describe(inputs))

    def describe(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return the step as JSON values, with those ``inputs`` that are known."""
        return {
            "schema": SCHEMA,
            "artifact": self.artifact,
            "script": self.script,
            "code": self.code,
            "environment": self.environment_value,
            "params": self.params,
            "inputs": inputs,
            "variables": dict(CONSTANTS),
            **({"fetches": True} if self.fetches else {}),
            **({"plugins": list(self.plugins)} if self.plugins else {}),
        }

    @property
    def environment_value(self) -> dict[str, str]:
        """The environment as JSON values: name and digest, and the interpreter's command in a container."""
        inside = {"python": self.python} if self.image else {}
        return {"name": self.environment, "digest": self.environment_digest, **inside}

    def as_json(self) -> dict[str, Any]:
        """Return JSON values for the plan file."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Recipe":
        """Return the recipe that ``as_json`` described."""
        inputs: Inputs = {
            name: [Reference(**item) for item in reference] if isinstance(reference, list) else Reference(**reference)
            for name, reference in value["inputs"].items()
        }
        tuples = {name: tuple(value.get(name, ())) for name in ("plugins", "wildcards")}
        return cls(**{**value, "inputs": inputs, **tuples})


def work(resources: dict[str, Any]) -> list[list[Any]]:
    """Return the resources that state the amount of work, as pairs of name and value."""
    return [[name, resources[name]] for name in WORK if resources.get(name)]


@dataclass(frozen=True)
class Action:
    """Complete description of one build step; ``Recipe.describe`` defines the keys of ``value``."""

    value: dict[str, Any]

    @property
    def artifact(self) -> str:
        """Name of the step's output."""
        return str(self.value["artifact"])

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form: the key of the store."""
        return digest_bytes(canonical(self.value))

    def encode(self) -> bytes:
        """Return the bytes of the action file."""
        return canonical(self.value) + b"\n"
