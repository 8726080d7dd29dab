"""Where one run keeps its things, and the few moves that change them.

``results/`` holds the artifacts under their human names with their manifests beside them. ``results/.graph/`` holds
what Snakemake sees: for each artifact a mark that it is sealed and its action, and a stamp where an action was resolved
within the run. They say what the manifests and the store imply; they can be thrown away or written anew at any moment.
"""

import json
import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from fcntl import LOCK_SH
from pathlib import Path
from typing import Any

from tapeout.graph.errors import InputChanged, UnreadableState
from tapeout.graph.files import file_lock, unused_path, write_atomically, write_if_changed
from tapeout.graph.identity.action import Action, Recipe
from tapeout.graph.identity.digest import canonical, digest_bytes
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.launch.launcher import Launch
from tapeout.graph.remote.remote_store import Remote
from tapeout.graph.store.roots import Root
from tapeout.graph.store.store import Store

OLD, SEALED, LATER = 1, 2, 3
"""File times (seconds since 1970) of action and mark, in place of any clock's. The one comparison that Snakemake makes,
whether an action is newer than its mark, says what was decided from content, so that neither a touched file nor the
skewed clock of another host can mislead it."""


PLAN = "TAPEOUT_PLAN"
"""Variable: SHA-256 of the plan of the run that a process belongs to."""

MARK = b"see the manifest\n"
"""Content of the marks. Not empty: of files of no bytes Snakemake compares checksums, whatever its settings."""


class State(StrEnum):
    """What is to be done for an artifact."""

    CURRENT = "current"
    RESTORE = "restore"
    BUILD = "build"
    WAITING = "waiting"


@dataclass(frozen=True)
class Workspace:
    """The folders of one run; ``TAPEOUT_STORE`` names a store elsewhere, ``TAPEOUT_REMOTE`` one behind it."""

    store: Store
    results: Path = Path("results")
    work: Path = Path("work")
    runs: Path = Path("runs")
    remote: Remote | None = None

    @classmethod
    def here(cls) -> "Workspace":
        """The workspace of the current folder."""
        store = Store(Path(os.environ.get("TAPEOUT_STORE") or "store"))
        return cls(store, remote=Remote.configured(store, cls(store).graph))

    @property
    def root(self) -> Root:
        """This folder as the store's garbage collector knows it."""
        return Root.of(self.store, self.results, self.runs)

    @property
    def graph(self) -> Path:
        """Folder of what Snakemake sees."""
        return self.results / ".graph"

    def artifact_path(self, name: str) -> Path:
        """Where an artifact lies."""
        return self.results / name

    def manifest_path(self, name: str) -> Path:
        """Beside the artifact."""
        return self.results / f"{name}.manifest.json"

    def action_path(self, name: str) -> Path:
        """The action that the artifact's rule is to carry out."""
        return self.graph / f"{name}.action.json"

    def sealed_path(self, name: str) -> Path:
        """The mark that a rule declares as its output."""
        return self.graph / f"{name}.sealed"

    def marked_artifact(self, path: str) -> str | None:
        """The artifact whose mark lies at ``path``; None if it is no mark."""
        place = Path(path)
        if place.suffix != ".sealed" or not place.is_relative_to(self.graph):
            return None
        return place.relative_to(self.graph).as_posix().removesuffix(".sealed")

    def resolved_path(self, name: str) -> Path:
        """The stamp that the checkpoint declares as its output."""
        return self.graph / f"{name}.resolved"

    @property
    def plan_path(self) -> Path:
        """The recipes of this run, for the processes that it starts."""
        return self.graph / "plan.json"

    def manifest(self, name: str) -> Manifest | None:
        """The manifest beside an artifact; an unreadable one counts as none."""
        try:
            return Manifest.from_json(json.loads(self.manifest_path(name).read_bytes()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def action(self, name: str) -> Action:
        """The resolved action of an artifact.

        Raises:
            UnreadableState: there is none, or it cannot be read.
        """
        path = self.action_path(name)
        try:
            return Action(json.loads(path.read_bytes()))
        except (FileNotFoundError, ValueError) as error:
            raise UnreadableState(f"The action of {name} cannot be read: {error}.", "Run Snakemake again.") from error

    def built_manifest(self, name: str) -> Manifest:
        """The manifest of what an artifact's action was to make, not of what was there before.

        Raises:
            InputChanged: there is none, or it is of another action; or not yet, on a late file system.
            UnreadableState: the action cannot be read.
        """
        found = self.manifest(name)
        if found is None or found.action != self.action(name).digest:
            raise InputChanged(f"Artifact {name} has no manifest, or that of another action.", "Run Snakemake again.")
        return found

    def state(self, action: Action) -> tuple[State, Manifest | None]:
        """What is to be done for an action, and the manifest of its output if it has one already."""
        manifest = self.manifest(action.artifact)
        same = manifest is not None and manifest.action == action.digest
        if manifest is not None and same and manifest.matches(self.artifact_path(action.artifact)):
            return State.CURRENT, manifest
        stored = self.store.find(action.digest)
        whole = stored is not None and self.store.is_complete(stored)
        return (State.RESTORE, stored) if whole else (State.BUILD, None)

    def restore(self, action: Action) -> State:
        """Bring an artifact into place if the store, or the remote, has it whole: CURRENT or BUILD."""
        state, manifest = self.state(action)
        if state is State.CURRENT:
            return state
        with self.store.in_use():
            if manifest is None or not self.store.verify_objects(manifest):
                manifest = self.remote.pull(action, manifest) if self.remote is not None else None
                if manifest is None or not self.store.verify_objects(manifest):
                    return State.BUILD
            self.publish(manifest)
        return State.CURRENT

    def publish(self, manifest: Manifest) -> None:
        """Put an artifact from the store under its human name; what stood there is kept if the store lacks it.

        One process at a time does so for a name, so that tree and manifest never come from two. The caller holds the
        store ``in_use``.
        """
        name = manifest.artifact
        scratch = self.graph / "scratch" / name.replace("/", ".")
        with file_lock(self.graph / "publishing" / f"{scratch.name}.lock"):
            target, before = self.artifact_path(name), self.manifest(name)
            if os.path.lexists(target):
                stored = self.store.find(before.action) if before is not None else None
                known = stored is not None and stored == before and self.store.is_complete(stored)
                vouched = before is not None and known and before.matches(target)
                if not vouched and not self.store.has_content(
                    target
                ):  # a kill in here leaves a tree without a manifest
                    self.set_aside(name)
            root = self.root
            root.register()
            root.add([manifest.action])
            self.manifest_path(name).unlink(missing_ok=True)
            self.store.link(manifest, target, scratch)
            write_atomically(self.manifest_path(name), manifest.encode())

    def lock_decisions(self) -> AbstractContextManager[None]:
        """While held, no run decides anew in this folder: what a job checked stays so until its result is in place.

        A job may outlive its run (``kill -9``); without this its result could replace what a later run, which wants
        another, has just found in place.
        """
        return file_lock(self.graph / "deciding.lock", LOCK_SH)

    def lock_results(self) -> AbstractContextManager[None]:
        """While held, no job puts a result in place."""
        return file_lock(self.graph / "deciding.lock")

    def set_aside(self, name: str) -> Path:
        """Move what lies under an artifact's name, and was not sealed, out of the way; returns where to."""
        place = self.work / "set_aside" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        kept = unused_path(place)
        shutil.move(self.artifact_path(name), kept)
        return kept

    def mark_sealed(self, name: str) -> None:
        """Tell Snakemake that the artifact's job has done its work."""
        write_atomically(self.sealed_path(name), MARK)

    def mark(self, name: str, state: State, action: Action | None) -> None:
        """Tell Snakemake what is to be done for an artifact.

        CURRENT (or RESTORE): the mark is newer than the action. BUILD: older. WAITING: as it was, until the checkpoint
        has resolved the action (``mark_family``).
        """
        action_path, sealed = self.action_path(name), self.sealed_path(name)
        if action is not None:
            write_if_changed(action_path, action.encode())
        write_if_changed(sealed, MARK)
        os.utime(sealed, (SEALED, SEALED))
        if action_path.exists():
            time = LATER if state is State.BUILD else OLD
            os.utime(action_path, (time, time))

    def mark_family(self, head: str, resolved: bool) -> None:
        """Leave the checkpoint's stamp; while a family is not resolved it is older than every mark.

        A missing stamp would not do: what is missing is made only if something that needs it must be made.
        """
        time = LATER if resolved else OLD
        write_if_changed(self.resolved_path(head), MARK)
        os.utime(self.resolved_path(head), (time, time))

    def write_plan(
        self, recipes: dict[str, Recipe], forced: list[str], families: dict[str, list[str]], launch: Launch
    ) -> str:
        """Leave for the processes of this run the recipes, what is resolved together, and how programs start.

        Returns:
            SHA-256 of the plan.
        """
        plan = {"recipes": {name: recipe.as_json() for name, recipe in recipes.items()}, "forced": forced}
        plan |= {"families": families, "launch": launch.as_json()}
        text = canonical(plan) + b"\n"
        write_if_changed(self.plan_path, text)
        return digest_bytes(text)

    def _plan(self) -> dict[str, Any]:
        """The plan that the main process left; in a cluster not an older one, which a node may still see.

        Raises:
            UnreadableState: it is not there, or not yet.
        """
        try:
            text = self.plan_path.read_bytes()
            plan: dict[str, Any] = json.loads(text)
        except (FileNotFoundError, ValueError) as error:
            raise UnreadableState(f"The plan of this run cannot be read: {error}.", "Run Snakemake again.") from error
        if os.environ.get(PLAN, digest_bytes(text)) != digest_bytes(text):
            raise UnreadableState("The plan here is not that of this run.", "Run Snakemake again.")
        return plan

    def read_launch(self) -> Launch:
        """How this site starts programs, as the main process left it."""
        return Launch.from_json(self._plan()["launch"])

    def read_family(self, head: str) -> list[Recipe]:
        """Recipes of the artifacts that are resolved together with ``head``, itself included.

        Raises:
            UnreadableState: the plan has no such family.
        """
        plan = self._plan()
        if head not in plan["families"]:
            raise UnreadableState(f"The plan of this run has no artifact {head} that waits.", "Run Snakemake again.")
        return [Recipe.from_json(plan["recipes"][name]) for name in plan["families"][head]]

    def read_recipe(self, name: str) -> tuple[Recipe, bool]:
        """A recipe that the main process left, and whether the user forces its artifact to be built again.

        Raises:
            UnreadableState: the plan has none of that name.
        """
        plan = self._plan()
        if name not in plan["recipes"]:
            raise UnreadableState(f"The plan of this run has no artifact {name}.", "Run Snakemake again.")
        return Recipe.from_json(plan["recipes"][name]), name in plan["forced"]
