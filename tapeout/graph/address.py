"""Names of artifacts, runs, rules and actions as users type them, and their resolution.

===================  ==============================================================================
``sft/model``        an artifact in ``results/``
``sft/model~1``      the previous build of the artifact (``~2``: the one before), from the store
``sft/model@old``    the artifact in the named run ``old``
``@old``             the named run itself; ``results`` for everything in ``results/``
``evaluate``          a rule: all artifacts that it makes
``3f9a01c2``         digest of an action or of an artifact in the store, or at least its first 8 characters
``./some/path``      any file or folder, with a leading ``./``, ``../`` or ``/``
===================  ==============================================================================

``resolve`` determines what a name refers to, ``locate`` also where the files of the artifact are.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tapeout.errors import did_you_mean
from tapeout.graph.errors import UnknownName
from tapeout.graph.identity.manifest import Entry, Manifest
from tapeout.graph.named_runs import artifact_names, list_runs, read_run
from tapeout.graph.store.store import Store
from tapeout.graph.workspace import Workspace

RESULTS = "results"
EARLIER = re.compile(r"(.+)~([1-9]\d*)")
SHOWN = 10
"""Number of names that an error lists."""
DIGEST_PREFIX = re.compile(r"[0-9a-f]{8,64}")


class Kind(StrEnum):
    """Kind of object that a name refers to."""

    ARTIFACT = "artifact"
    EARLIER = "earlier build"
    IN_RUN = "artifact in a run"
    RUN = "run"
    RULE = "rule"
    ACTION = "action"
    DIGEST = "artifact in the store"
    PATH = "path"

    @property
    def phrase(self) -> str:
        """Return the kind with its article."""
        return f"{'an' if self[0] in 'aeiou' else 'a'} {self}"


@dataclass(frozen=True)
class Address:
    """A name that was resolved.

    Attributes:
        text: the name as the user typed it, but for ``results/`` before and a slash after an artifact.
        kind: what it refers to.
        artifacts: names of the artifacts that it refers to; empty for a path.
        run: the named run, for ``IN_RUN`` and ``RUN``; empty for ``results/``.
        action: digest of the action that made the artifact, if it is known from the name alone.
    """

    text: str
    kind: Kind
    artifacts: tuple[str, ...] = ()
    run: str = ""
    action: str = ""

    @property
    def artifact(self) -> str:
        """Return the one artifact that the name refers to.

        Raises:
            UnknownName: it refers to none or to several.
        """
        if self.kind is Kind.RUN or len(self.artifacts) != 1:
            fix = f"Name one of: {', '.join(self.artifacts[:SHOWN])}." if self.artifacts else "Name an artifact."
            raise UnknownName(f"{self.text} is {self.kind.phrase}, not one artifact.", fix)
        return self.artifacts[0]


@dataclass(frozen=True)
class LocatedArtifact:
    """An artifact with its manifest and the location of its files.

    Attributes:
        address: the name as the user typed it.
        manifest: its files.
        root: path of the artifact's file or folder; None if its files are objects of ``store``.
        store: the store.
    """

    address: str
    manifest: Manifest
    root: Path | None
    store: Store

    def file(self, entry: Entry) -> Path:
        """Return the path of one file of the artifact."""
        if self.root is None:
            return self.store.object_path(entry)
        return self.root / entry.path if entry.path else self.root

    def folder(self, scratch: Path) -> Path:
        """Return the artifact as files under their names, linked below ``scratch`` if they are objects of the store."""
        if self.root is not None:
            return self.root
        target = scratch / Path(self.manifest.artifact).name
        self.store.link(self.manifest, target, scratch / ".scratch")
        return target


def resolve(workspace: Workspace, text: str, rules: Mapping[str, Iterable[str]] | None = None) -> Address:
    """Determine what a name refers to.

    An artifact goes before a rule of the same name, and both go before a digest. ``results/NAME`` is the artifact NAME.

    Args:
        workspace: results, named runs and store.
        text: the name.
        rules: artifacts that each rule of the project makes; None if the project was not read, so that an artifact is
            known only if it is in ``results/``, and no rule is.

    Raises:
        UnknownName: it refers to nothing, or to several things in the store.
    """
    if text.startswith(("./", "../", "/")):
        if not Path(text).exists():
            raise UnknownName(f"There is no file or folder {text}.", "Correct the path.")
        return Address(text, Kind.PATH)
    text = text.rstrip("/").removeprefix(f"{RESULTS}/")  # as the shell completes it
    if text == RESULTS:
        return Address(text, Kind.RUN, tuple(artifact_names(workspace.results)))
    artifact, separator, run = text.partition("@")
    if separator:
        return _in_run(workspace, text, artifact, run)
    made = {name: tuple(artifacts) for name, artifacts in (rules or {}).items()}
    known = {name for artifacts in made.values() for name in artifacts}
    if text in known or workspace.manifest(text) is not None:
        return Address(text, Kind.ARTIFACT, (text,))
    if text in made:
        return Address(text, Kind.RULE, made[text])
    if earlier := EARLIER.fullmatch(text):
        return Address(text, Kind.EARLIER, (earlier[1],), action=_earlier(workspace, earlier[1], int(earlier[2])))
    if DIGEST_PREFIX.fullmatch(text):
        return _by_digest(workspace, text)
    known |= set(artifact_names(workspace.results)) | made.keys() | {f"@{item.name}" for item in list_runs(workspace)}
    raise UnknownName(
        f"There is no artifact{' or rule' if made else ''} {text}{did_you_mean(text, known)}",
        "Run tapeout status to see the names; a run is @NAME, a path begins with ./",
    )


def locate(workspace: Workspace, text: str, rules: Mapping[str, Iterable[str]] | None = None) -> LocatedArtifact:
    """Return the artifact that a name refers to, with its files.

    Args:
        workspace: results, named runs and store.
        text: the name of one artifact.
        rules: see ``resolve``.

    Raises:
        UnknownName: the name does not refer to one artifact, or its files are no longer there or are damaged.
    """
    address, store = resolve(workspace, text, rules), workspace.store
    if address.kind is Kind.PATH:
        path = Path(text)
        return LocatedArtifact(text, Manifest.of(path, path.name, ""), path, store)
    artifact = address.artifact
    if address.kind in (Kind.EARLIER, Kind.ACTION, Kind.DIGEST):
        manifest = store.find(address.action)
        if manifest is None or not store.is_complete(manifest):
            raise UnknownName(f"The files of {text} were deleted from the store.", "Build it again.")
        return LocatedArtifact(text, manifest, None, store)
    if address.kind is Kind.IN_RUN:
        root, manifest = workspace.runs / address.run / artifact, store.find(address.action)
        fix = "Run: tapeout verify --deep --repair"
    else:
        root, manifest = workspace.artifact_path(artifact), workspace.manifest(artifact)
        fix = "Run: tapeout verify --repair"
        if manifest is None:
            raise UnknownName(f"Artifact {artifact} has not been built.", f"Run: snakemake {address.text}")
    if manifest is None:
        raise UnknownName(
            f"The store {store.root} does not have {text}.",
            "Name the store that the run was made with: TAPEOUT_STORE=/path/of/it",
        )
    if not manifest.matches(root):
        raise UnknownName(f"Artifact {text} does not match its manifest.", fix)
    return LocatedArtifact(text, manifest, root, store)


def _in_run(workspace: Workspace, text: str, artifact: str, run: str) -> Address:
    artifacts = read_run(workspace, run).artifacts
    if not artifact:
        return Address(text, Kind.RUN, tuple(artifacts), run)
    if artifact not in artifacts:
        hint = did_you_mean(artifact, artifacts)
        raise UnknownName(f"Run {run} has no artifact {artifact}{hint}", f"Look into {workspace.runs / run}.")
    return Address(text, Kind.IN_RUN, (artifact,), run, artifacts[artifact])


def _earlier(workspace: Workspace, artifact: str, steps: int) -> str:
    """Return the action of an earlier build from the journal, without repetitions and the one in ``results/``."""
    current = workspace.manifest(artifact)
    actions = [current.action] if current is not None else []
    for line in reversed(workspace.store.journal()):
        if line["artifact"] == artifact and line["action"] not in actions:
            actions.append(line["action"])
    if steps >= len(actions):
        raise UnknownName(f"The store has no {artifact}~{steps}.", "Name a run with @, or a digest.")
    return actions[steps]


def _by_digest(workspace: Workspace, text: str) -> Address:
    builds: dict[str, Address] = {}
    for action, entry in workspace.store.entries():
        manifest = entry["manifest"]
        if action.startswith(text) or manifest["digest"].startswith(text):
            kind = Kind.ACTION if action.startswith(text) else Kind.DIGEST
            builds[manifest["digest"]] = Address(text, kind, (manifest["artifact"],), action=action)
    if len(builds) != 1:
        count = f"{len(builds)} artifacts" if builds else "no artifact or action"
        raise UnknownName(f"The store has {count} with the digest {text}.", "Give more digits of the digest.")
    return next(iter(builds.values()))
