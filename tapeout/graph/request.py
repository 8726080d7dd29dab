"""Translate the names and options of a Snakemake command line into artifacts.

Snakemake accepts names of rules and files; users name artifacts. Before Snakemake builds its graph, ``translate``
replaces the names of artifacts in its options by the paths of their marks. ``select`` then applies the options that
restrict the graph, so that the plan lists exactly the steps that will run.
"""

import os
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from snakemake.iocontainers import Wildcards
from snakemake.settings.enums import RerunTrigger

from tapeout.errors import did_you_mean
from tapeout.graph.errors import UnknownName
from tapeout.graph.identity.action import Recipe
from tapeout.graph.rules import SEALED, RuleReader

NAMES = ("targets", "forcerun", "until", "omit_from")
"""Options of Snakemake that take names of rules and files."""


class Request:
    """Command line of one Snakemake process.

    Args:
        reader: reader of the workflow's rules.
    """

    def __init__(self, reader: RuleReader) -> None:
        self.reader, self.workflow, self.workspace = reader, reader.workflow, reader.workspace

    @property
    def settings(self) -> Any:
        """Snakemake's settings of the graph; None if the workflow is only inspected, not run."""
        return self.workflow.dag_settings

    def _option(self, name: str) -> Collection[str]:
        return sorted(getattr(self.settings, name) or ()) if self.settings is not None else []

    # -- names -----------------------------------------------------------------------------------------------------

    def artifacts(self, name: str) -> list[str]:
        """Return the artifacts that a name stands for.

        Args:
            name: an artifact, a path in ``results/`` (of an artifact's file or mark), or a rule. A rule stands for the
                artifact that it makes; a rule with wildcards for those of its artifacts that the default target needs;
                a rule that only collects inputs for these inputs.

        Raises:
            UnknownName: no artifact, path or rule has this name.
        """
        if not name:
            raise UnknownName("The name of an artifact is empty.", "Run: tapeout status, which lists the names.")
        rules = {rule.name: rule for rule in self.workflow.rules}
        if name in rules:
            return self._artifacts_of_rule(rules[name])
        for candidate in self._candidates(name):
            if set("{}") & set(candidate):  # a wildcard that nobody filled in
                continue
            if self.reader.makes(canonical := self.reader.canonical(candidate)):
                return [canonical]
        known = {rule.name for rule in self.workflow.rules if not rule.is_checkpoint}
        known |= self.reader.recipes(self._default()).keys()
        hint = did_you_mean(self._candidates(name)[0], sorted(known))
        raise UnknownName(f"There is no artifact or rule {name}{hint}", "Run: tapeout status, which lists the names.")

    def _artifacts_of_rule(self, rule: Any) -> list[str]:
        if rule not in self.reader.sealed_rules:
            collected = [item(Wildcards()) if callable(item) else item for item in rule.input]
            paths = [path for item in collected for path in ([item] if isinstance(item, str) else item or [])]
            return [name for path in paths if (name := self.workspace.marked_artifact(str(path)))]
        name = str(rule.output[0].flags[SEALED])
        if not rule.has_wildcards():
            return [name]
        recipes = self.reader.recipes(self._default())
        made = sorted(artifact for artifact, recipe in recipes.items() if recipe.rule == rule.name)
        if not made:
            raise UnknownName(f"Rule {rule.name} makes many artifacts.", f"Name one of them, for example {name}.")
        return made

    def _candidates(self, name: str) -> list[str]:
        """Return the artifacts that a name or path could mean: the path itself, then each folder that contains it."""
        if (marked := self.workspace.marked_artifact(name)) is not None:
            return [marked]
        path = PurePosixPath(os.path.relpath(name))
        if not path.is_relative_to(self.workspace.results.as_posix()):
            return [path.as_posix()]
        inside = path.relative_to(self.workspace.results.as_posix())
        return [inside.as_posix(), *(folder.as_posix() for folder in inside.parents if folder.name)]

    def _default(self) -> list[str]:
        rules = {rule.name: rule for rule in self.workflow.rules}
        target = rules[self.workflow.default_target]
        return [] if target in self.reader.sealed_rules and target.has_wildcards() else self._artifacts_of_rule(target)

    def _is_ordinary(self, path: str) -> bool:
        """Return whether a path is the output of an ordinary Snakemake rule, which makes no artifact."""
        sealed = {rule.name for rule in self.reader.sealed_rules}
        others = [rule for rule in self.workflow.rules if rule.name not in sealed]
        return bool(path) and any(item.match(os.path.relpath(path)) for rule in others for item in rule.output)

    # -- options ---------------------------------------------------------------------------------------------------

    def translate(self) -> None:
        """Replace names of artifacts in Snakemake's options by paths, and fix its rerun options.

        Raises:
            UnknownName: an option names an unknown artifact or rule.
        """
        settings, scheduling = self.settings, self.workflow.scheduling_settings
        changes: dict[str, Any] = {name: self._paths(getattr(settings, name), name == "targets") for name in NAMES}
        if (batch := settings.batch) is not None:
            part = batch.get_batch(self._inputs(batch.rulename))
            changes |= {"batch": None} if batch.is_final else {"batch": None, "targets": self._paths(part, True)}
        # overrides any profile: decisions are made by content, and Snakemake only compares the times of marks
        triggers = {"rerun_triggers": frozenset({RerunTrigger.MTIME}), "max_checksum_file_size": 0}
        self.workflow.dag_settings = replace(settings, **changes, **triggers, force_incomplete=True)
        if scheduling is not None and scheduling.prioritytargets:
            paths = self._paths(scheduling.prioritytargets, False)
            self.workflow.scheduling_settings = replace(scheduling, prioritytargets=paths)

    def _inputs(self, rule: str) -> list[str]:
        """Return the artifacts that a rule reads or collects, sorted."""
        recipes = [self.reader.recipe(name) for name in self.artifacts(rule)]
        return sorted(
            {n for recipe in recipes for n in (recipe.dependencies() if recipe.rule == rule else [recipe.artifact])}
        )

    def _paths(self, names: Iterable[str], as_targets: bool) -> frozenset[str]:
        """Return names for Snakemake: artifacts as paths of their marks, rules and ordinary files unchanged.

        A target that is a rule with wildcards is replaced by its artifacts. In other options, a rule stands also for
        the same rule of those variants that the targets need.
        """
        paths: set[str] = set()
        rules = {rule.name: rule for rule in self.workflow.rules}
        for name in names:
            is_rule = name in rules and not (as_targets and rules[name].has_wildcards())
            if is_rule or self._is_ordinary(name):
                paths.add(name)
                if is_rule and not as_targets:
                    recipes = self.reader.recipes(self.targets()).values()
                    paths |= {recipe.rule for recipe in recipes if recipe.base_rule == name}
            else:
                paths |= {str(self.workspace.sealed_path(artifact)) for artifact in self.artifacts(name)}
        return frozenset(paths)

    def targets(self) -> list[str]:
        """Return the requested artifacts, sorted; without a request, the artifacts of the default target."""
        requested = self._option("targets")
        if not requested:
            return sorted(self._default())
        return sorted({artifact for name in requested for artifact in self._known(name)})

    def roots(self) -> list[str]:
        """Return the targets of Snakemake's graph: the requested artifacts, and those that other options name."""
        scheduling = self.workflow.scheduling_settings
        names = {*self._option("forcerun"), *self._option("until")}
        names |= set(scheduling.prioritytargets) if scheduling is not None else set()
        many = {rule.name for rule in self.workflow.rules if rule.has_wildcards()}
        return sorted({*self.targets(), *(artifact for name in names - many for artifact in self._known(name))})

    def _known(self, name: str) -> list[str]:
        return [] if self._is_ordinary(name) else self.artifacts(name)

    def forced(self, recipes: dict[str, Recipe]) -> list[str]:
        """Return the artifacts that the command line forces to be rebuilt (``--forcerun``, ``--forceall``, ``-f``)."""
        if self.settings is None:
            return []
        if self.settings.forceall:
            return sorted(recipes)
        named = self._named("forcerun", recipes)
        return sorted(named | set(self.roots()) if self.settings.forcetargets else named)

    def _named(self, option: str, recipes: dict[str, Recipe]) -> set[str]:
        """Return the artifacts among ``recipes`` that an option names, directly or by their rule."""
        names = set(self._option(option))
        sealed = {rule.name for rule in self.reader.sealed_rules}
        collecting = {rule.name for rule in self.workflow.rules if rule.name not in sealed} & names
        collected = {artifact for name in collecting for artifact in self.artifacts(name)}
        return {
            name
            for name, recipe in recipes.items()
            if recipe.rule in names or str(self.workspace.sealed_path(name)) in names or name in collected
        }

    def selected(self, recipes: dict[str, Recipe]) -> set[str]:
        """Return the artifacts that remain after ``--until`` and ``--omit-from``."""
        until = self._named("until", recipes) if self._option("until") else None
        return select(recipes, until, self._named("omit_from", recipes))

    def allow(self, recipes: dict[str, Recipe], to_run: Collection[str]) -> None:
        """Replace ``--allowed-rules`` by ``--omit-from``, so that nothing downstream of a disallowed step runs.

        Args:
            recipes: recipes by artifact.
            to_run: artifacts that a run would build.
        """
        allowed = set(self._option("allowed_rules"))
        if allowed:
            left_out = {str(self.workspace.sealed_path(name)) for name in to_run if recipes[name].rule not in allowed}
            omitted = frozenset({*self.settings.omit_from, *left_out})
            self.workflow.dag_settings = replace(self.settings, allowed_rules=frozenset(), omit_from=omitted)

    @property
    def is_partial(self) -> bool:
        """True if options leave out a part of the graph."""
        return bool(self._option("until") or self._option("omit_from"))


def select(recipes: dict[str, Recipe], until: set[str] | None, omitted: set[str]) -> set[str]:
    """Return the artifacts of a graph that remain after a selection.

    Args:
        recipes: recipes by artifact.
        until: keep only these artifacts and everything upstream of them; None keeps all.
        omitted: remove these artifacts and everything downstream of them.
    """
    queue = list(recipes if until is None else until)
    left: set[str] = set()
    while queue:
        name = queue.pop()
        if name not in left:
            left.add(name)
            queue += recipes[name].dependencies()
    readers: dict[str, list[str]] = {}
    for name, recipe in recipes.items():
        for need in recipe.dependencies():
            readers.setdefault(need, []).append(name)
    queue, gone = list(omitted), set()
    while queue:
        name = queue.pop()
        if name not in gone:
            gone.add(name)
            queue += readers.get(name, [])
    return left - gone
