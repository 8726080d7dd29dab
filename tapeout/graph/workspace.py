"""The folders of one run, and the operations that change them.

``results/`` has the artifacts under their names, with a manifest beside each. ``results/.graph/`` has what Snakemake
sees: for each artifact its action and a mark that it is sealed, and a stamp for each checkpoint that was resolved.
These files only repeat what manifests and store imply; they can be deleted or rewritten at any time.
"""

import os
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from fcntl import LOCK_SH
from pathlib import Path
from typing import Any

from tapeout.graph.console import print_line
from tapeout.graph.errors import InputChanged, InvalidFolder, NotAPlainFile, UnreadableState
from tapeout.graph.files import (
    file_lock,
    parse_json,
    read_file,
    read_json,
    read_plain,
    unused_path,
    write_atomically,
    write_if_changed,
)
from tapeout.graph.identity.action import Action, Recipe
from tapeout.graph.identity.digest import canonical, digest_bytes
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.launch.launcher import Launch
from tapeout.graph.paths import check_project
from tapeout.graph.remote.remote_store import Remote
from tapeout.graph.store.policy import POLICY
from tapeout.graph.store.roots import Root
from tapeout.graph.store.store import Store
from tapeout.graph.store.trust import BUILT, Trust

OLD, SEALED, LATER = 1, 2, 3
"""Artificial modification times (seconds since 1970) of actions and marks. Snakemake only compares whether an action is
newer than its mark. The times encode what was decided from content, so that neither a touched file nor the skewed clock
of another host can affect the decision."""

PLAN = "TAPEOUT_PLAN"
"""Environment variable: SHA-256 of the plan of the run that a process belongs to."""

MARK = b"see the manifest\n"
"""Content of the marks. Not empty, because Snakemake always compares empty files by checksum."""


class State(StrEnum):
    """Decision for an artifact: what a run has to do."""

    CURRENT = "current"
    RESTORE = "restore"
    BUILD = "build"
    WAITING = "waiting"


@dataclass(frozen=True)
class Workspace:
    """The folders of one run.

    Attributes:
        store: the local store, ``store/`` or ``TAPEOUT_STORE``.
        results: artifacts under their names.
        work: scratch folders, named by action digest.
        runs: named runs.
        remote: a remote store (``TAPEOUT_REMOTE``), if there is one.
    """

    store: Store
    results: Path = Path("results")
    work: Path = Path("work")
    runs: Path = Path("runs")
    remote: Remote | None = None

    @classmethod
    def here(cls) -> "Workspace":
        """Return the workspace of the current folder.

        Raises:
            InvalidFolder: some program cannot take the path of this folder or of the store.
        """
        check_project(os.environ)
        store = Store(Path(os.environ.get("TAPEOUT_STORE") or "store"), Trust(POLICY, cls.work / BUILT))
        return cls(store, remote=Remote.configured(store, cls(store).graph))

    @property
    def root(self) -> Root:
        """This folder as a root of the garbage collector."""
        return Root.of(self.store, self.results, self.runs)

    @property
    def code(self) -> Path:
        """Trees of the code of steps (``identity.code_tree``)."""
        return self.work / "code"

    @property
    def graph(self) -> Path:
        """Folder of the files that Snakemake sees."""
        return self.results / ".graph"

    def artifact_path(self, name: str) -> Path:
        """Return the path of an artifact."""
        return self.results / name

    def manifest_path(self, name: str) -> Path:
        """Return the path of an artifact's manifest."""
        return self.results / f"{name}.manifest.json"

    def action_path(self, name: str) -> Path:
        """Return the path of the action that the artifact's rule has to carry out."""
        return self.graph / f"{name}.action.json"

    def sealed_path(self, name: str) -> Path:
        """Return the path of the mark that a rule declares as its output."""
        return self.graph / f"{name}.sealed"

    def marked_artifact(self, path: str) -> str | None:
        """Return the artifact that the mark at ``path`` belongs to, or None if it is not a mark."""
        mark = Path(path)
        if mark.suffix != ".sealed" or not mark.is_relative_to(self.graph):
            return None
        return mark.relative_to(self.graph).as_posix().removesuffix(".sealed")

    def metrics_path(self, action: str) -> Path:
        """Return the journal of the metrics that the program of an action reports.

        It is not in the scratch folder, which is deleted when the artifact is stored.
        """
        return self.work / "metrics" / f"{action}.jsonl"

    def resolved_path(self, name: str) -> Path:
        """Return the path of the stamp that the checkpoint declares as its output."""
        return self.graph / f"{name}.resolved"

    def verified_path(self, name: str) -> Path:
        """Return the path of the note that says which files of an artifact the steps of a run have read."""
        return self.graph / f"{name}.verified.json"

    def sandbox_path(self, name: str) -> Path:
        """Return the path of what the sandbox shows to an artifact's program."""
        return self.graph / f"{name}.sandbox.json"

    @property
    def plan_path(self) -> Path:
        """File with the recipes of this run, for the processes that it starts."""
        return self.graph / "plan.json"

    def manifest(self, name: str) -> Manifest | None:
        """Return the manifest of an artifact in ``results/``; None unless the store has the same one of its action.

        Anybody may have written the file in ``results/``. The store decides what an action made; if it has lost the
        entry, what this folder has built itself is still known.
        """
        stated = self.stated_manifest(name)
        if stated is None or self.store.has_manifest(*stated):
            return stated[0] if stated is not None else None
        manifest, trust = stated[0], self.store.trust
        built = trust is not None and trust.was_built(manifest)
        return manifest if built and not os.path.lexists(self.store.action_path(manifest.action)) else None

    def stated_manifest(self, name: str) -> tuple[Manifest, bytes] | None:
        """Return what the file of an artifact's manifest states, and its bytes; None if it is missing or unreadable.

        Its action is a hint, and nothing else in it may be believed.
        """
        try:
            text = read_plain(self.manifest_path(name))
            manifest = Manifest.from_json(parse_json(text))
        except (FileNotFoundError, NotAPlainFile, ValueError, KeyError, TypeError, RecursionError):
            return None
        return (manifest, text) if manifest.artifact == name and isinstance(manifest.action, str) else None

    def action(self, name: str) -> Action:
        """Return the resolved action of an artifact.

        Raises:
            UnreadableState: it is missing or cannot be read.
        """
        path = self.action_path(name)
        try:
            return Action(read_json(path))
        except (FileNotFoundError, ValueError) as error:
            raise UnreadableState(f"The action of {name} cannot be read: {error}.", "Run Snakemake again.") from error

    def built_manifest(self, name: str) -> Manifest:
        """Return the manifest of an artifact if its resolved action made it.

        Raises:
            InputChanged: there is no manifest, or another action's; it may appear later on a shared file system.
            UnreadableState: the action cannot be read.
        """
        found = self.manifest(name)
        if found is None or found.action != self.action(name).digest:
            raise InputChanged(
                f"Artifact {name} has no manifest, or the manifest of another action.", "Run Snakemake again."
            )
        return found

    def state(self, action: Action) -> tuple[State, Manifest | None]:
        """Return the state of an action, and the manifest of its output if ``results/`` or the store has it."""
        manifest = self.manifest(action.artifact)
        same = manifest is not None and manifest.action == action.digest
        if manifest is not None and same and manifest.matches(self.artifact_path(action.artifact)):
            return State.CURRENT, manifest
        stored = self.store.find(action.digest)
        intact = stored is not None and self.store.seems_intact(stored)
        return (State.RESTORE, stored) if intact else (State.BUILD, None)

    def restore(self, action: Action) -> State:
        """Restore an artifact from the store or the remote; return BUILD if neither has it intact, else CURRENT."""
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
        """Link an artifact of the store into ``results/``; what was there is set aside if the store lacks it.

        A lock for each name prevents files and manifest of two processes from mixing. The caller holds
        ``Store.in_use``.
        """
        name = manifest.artifact
        scratch = self.graph / "scratch" / name.replace("/", ".")
        with file_lock(self.graph / "publishing" / f"{scratch.name}.lock"):
            target = self.artifact_path(name)
            self._set_diverging_aside(name)
            root = self.root
            root.register()
            root.add([manifest.action])
            self.manifest_path(name).unlink(missing_ok=True)
            self.store.link(manifest, target, scratch)
            write_atomically(self.manifest_path(name), manifest.encode())

    def _set_diverging_aside(self, name: str) -> None:
        """Set aside what is in the place of an artifact and its manifest, unless the store has it."""
        target, manifest_path, before = self.artifact_path(name), self.manifest_path(name), self.manifest(name)
        aside = []
        if os.path.lexists(target):
            intact = before is not None and self.store.is_complete(before) and before.matches(target)
            # a process that was killed while it published leaves files without a manifest; the store has them
            if not intact and not self.store.has_content(target):
                aside.append(self.set_aside(name))
        if before is None and os.path.lexists(manifest_path):
            aside.append(self._move_aside(manifest_path, f"{name}.manifest.json"))
        if aside:
            print_line(f"! {name}: the one in results/ is not what the store has; moved to {aside[0]}")

    def check_trust(self) -> None:
        """Read the keys of the policy, so that a run does not find at its end that it cannot sign.

        Raises:
            InvalidKey: one cannot be read.
        """
        if self.store.trust is not None:
            _ = self.store.trust.keys, self.store.trust.signer

    def report_ignored(self) -> None:
        """Print how many entries of the store and the remote were not used, because no trusted key has signed them."""
        if self.store.trust is not None:
            self.store.trust.report()

    def lock_decisions(self) -> AbstractContextManager[None]:
        """Return a shared lock that keeps runs from deciding: what a job verified is valid until it has published.

        A job may outlive its run (``kill -9``). Without the lock its result could replace one that a later run, with
        another configuration, has just found current.
        """
        return file_lock(self.graph / "deciding.lock", LOCK_SH)

    def lock_results(self) -> AbstractContextManager[None]:
        """Return an exclusive lock that keeps jobs from publishing results."""
        return file_lock(self.graph / "deciding.lock")

    def set_aside(self, name: str) -> Path:
        """Move unsealed files under an artifact's name to ``work/set_aside``; return their new path."""
        return self._move_aside(self.artifact_path(name), name)

    def _move_aside(self, source: Path, name: str) -> Path:
        path = unused_path(self.work / "set_aside" / name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(source, path)
        return path

    def mark_sealed(self, name: str) -> None:
        """Mark an artifact as built, for Snakemake."""
        write_atomically(self.sealed_path(name), MARK)

    def mark(self, name: str, state: State, action: Action | None) -> None:
        """Set the times from which Snakemake decides what to do for an artifact.

        CURRENT and RESTORE: the mark is newer than the action. BUILD: it is older. WAITING: unchanged, until the
        checkpoint has resolved the action (``mark_family``).

        Raises:
            InvalidFolder: the file system does not keep times, so that Snakemake would skip steps.
        """
        action_path, sealed = self.action_path(name), self.sealed_path(name)
        if action is not None:
            write_if_changed(action_path, action.encode())
        write_if_changed(sealed, MARK)
        os.utime(sealed, (SEALED, SEALED))
        if sealed.stat().st_mtime != SEALED:
            raise InvalidFolder(
                f"The file system of {self.results.absolute()} does not keep the times of files.",
                "Put the project on a Linux file system, or make results a link to a folder on one.",
            )
        if action_path.exists():
            time = LATER if state is State.BUILD else OLD
            os.utime(action_path, (time, time))

    def mark_family(self, head: str, resolved: bool) -> None:
        """Write the checkpoint's stamp: older than every mark until the batch is resolved.

        A missing stamp would not do, because Snakemake creates a missing file only if a job needs it.
        """
        time = LATER if resolved else OLD
        write_if_changed(self.resolved_path(head), MARK)
        os.utime(self.resolved_path(head), (time, time))

    def write_plan(
        self, recipes: dict[str, Recipe], forced: list[str], batches: dict[str, list[str]], launch: Launch
    ) -> str:
        """Write recipes, batches and launch settings for the processes of this run; return the plan's SHA-256.

        Args:
            recipes: recipes by artifact.
            forced: artifacts that the user wants to build again.
            batches: artifacts that are resolved together, by the first of them.
            launch: how this site starts programs.
        """
        plan = {"recipes": {name: recipe.as_json() for name, recipe in recipes.items()}, "forced": forced}
        plan |= {"batches": batches, "launch": launch.as_json()}
        text = canonical(plan) + b"\n"
        write_if_changed(self.plan_path, text)
        return digest_bytes(text)

    def _plan(self) -> dict[str, Any]:
        """Read the plan of the main process; a node of a cluster may still see an older one.

        Raises:
            UnreadableState: the plan of this run is not visible.
        """
        try:
            text = read_file(self.plan_path)
            plan: dict[str, Any] = parse_json(text)
        except (FileNotFoundError, ValueError) as error:
            raise UnreadableState(f"The plan of this run cannot be read: {error}.", "Run Snakemake again.") from error
        if os.environ.get(PLAN, digest_bytes(text)) != digest_bytes(text):
            raise UnreadableState("The plan file belongs to another run.", "Run Snakemake again.")
        return plan

    def read_launch(self) -> Launch:
        """Return how this site starts programs, from the plan."""
        return Launch.from_json(self._plan()["launch"])

    def read_batch(self, head: str) -> list[Recipe]:
        """Return the recipes of the artifacts that are resolved together with ``head``, including its own.

        Raises:
            UnreadableState: the plan has no such group.
        """
        plan = self._plan()
        if head not in plan["batches"]:
            raise UnreadableState(f"The plan of this run has no artifact {head}.", "Run Snakemake again.")
        return [Recipe.from_json(plan["recipes"][name]) for name in plan["batches"][head]]

    def read_forced(self) -> set[str]:
        """Return the artifacts that the user wants to build again."""
        return set(self._plan()["forced"])

    def read_recipe(self, name: str) -> tuple[Recipe, bool]:
        """Return the recipe of an artifact, and whether the user wants to build it again.

        Raises:
            UnreadableState: the plan does not have it.
        """
        plan = self._plan()
        if name not in plan["recipes"]:
            raise UnreadableState(f"The plan of this run has no artifact {name}.", "Run Snakemake again.")
        return Recipe.from_json(plan["recipes"][name]), name in plan["forced"]
