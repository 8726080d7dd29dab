"""Recipes and actions: a build step as its rule writes it, and the same with the digests of its inputs.

A recipe is read off a Snakemake rule when the workflow is parsed. As soon as every input is realised it becomes an
action, whose digest is the key of everything: the store, the work folder, the decision what runs.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from tapeout.graph.identity.digest import canonical, digest_bytes, digest_value
from tapeout.graph.identity.manifest import Manifest

SCHEMA = 1
CONTAINER = "container"
"""Name of the environment of a step that runs in a container; no lock may have it."""
WORK = ("gflop", "parameters", "download_bytes")
"""Resources by which a rule tells how much there is to do."""


@dataclass(frozen=True)
class Reference:
    """An input: an artifact, or the file or folder at ``path`` in it."""

    artifact: str
    path: str = ""


Inputs = dict[str, Reference | list[Reference]]


@dataclass(frozen=True)
class Recipe:
    """A build step before its inputs are known.

    What is not here is not identity: memory, partition, host, time, log paths. Nor are the ``resources``, what the rule
    says of its cost (``tapeout.graph.plan.forecast``).
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
    """The container's image, by digest; where it is pulled from is no identity."""
    python: str = ""
    """The interpreter's command in the container."""
    plugins: tuple[str, ...] = ()
    """Modules that the program loads by name, see ``tapeout.plugins``."""
    wildcards: tuple[str, ...] = ()
    """Of its rule, by which a cluster's queue names its job; no identity."""

    @property
    def threads(self) -> int:
        """Threads that the rule asks for."""
        return int(self.resources.get("threads") or 1)

    @property
    def work(self) -> list[list[Any]]:
        """What the rule says of the amount of work, which may depend on parameters of other steps: the model's size."""
        return work(self.resources)

    @property
    def cost_key(self) -> str:
        """Digest of rule, parameters and amount of work: steps that are alike in these take about as long."""
        return digest_value([self.rule, self.params, *self.work])

    def references(self) -> Iterator[Reference]:
        """All inputs, one after another."""
        for value in self.inputs.values():
            yield from value if isinstance(value, list) else [value]

    def dependencies(self) -> list[str]:
        """Names of the artifacts that this step reads, sorted."""
        return sorted({reference.artifact for reference in self.references()})

    def action(self, manifest: Callable[[str], Manifest]) -> "Action":
        """The action, given the manifests of the inputs by artifact name."""

        def resolved(reference: Reference) -> dict[str, str]:
            digest = manifest(reference.artifact).digest(reference.path)
            return {"artifact": reference.artifact, "path": reference.path, "digest": digest}

        inputs = {
            name: [resolved(item) for item in value] if isinstance(value, list) else resolved(value)
            for name, value in self.inputs.items()
        }
        return Action(self.describe(inputs))

    def describe(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The step as JSON values, with ``inputs`` as far as they are known."""
        return {
            "schema": SCHEMA,
            "artifact": self.artifact,
            "script": self.script,
            "code": self.code,
            "environment": self.environment_value,
            "params": self.params,
            "inputs": inputs,
            **({"plugins": list(self.plugins)} if self.plugins else {}),
        }

    @property
    def environment_value(self) -> dict[str, str]:
        """What the program runs in: a lock by its digest, or a container by its and the interpreter in it."""
        inside = {"python": self.python} if self.image else {}
        return {"name": self.environment, "digest": self.environment_digest, **inside}

    def as_json(self) -> dict[str, Any]:
        """JSON values for the plan file."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Recipe":
        """The inverse of ``as_json``."""
        inputs: Inputs = {
            name: [Reference(**item) for item in found] if isinstance(found, list) else Reference(**found)
            for name, found in value["inputs"].items()
        }
        tuples = {name: tuple(value.get(name, ())) for name in ("plugins", "wildcards")}
        return cls(**{**value, "inputs": inputs, **tuples})


def work(resources: dict[str, Any]) -> list[list[Any]]:
    """The part of a rule's resources that tells how much there is to do."""
    return [[name, resources[name]] for name in WORK if resources.get(name)]


@dataclass(frozen=True)
class Action:
    """One build step, completely described; see ``Recipe.action`` for the keys of ``value``."""

    value: dict[str, Any]

    @property
    def artifact(self) -> str:
        """Name of what the step makes."""
        return str(self.value["artifact"])

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form: the key of the store."""
        return digest_bytes(canonical(self.value))

    def encode(self) -> bytes:
        """The action file's bytes."""
        return canonical(self.value) + b"\n"
