"""What the last plan of a folder set out to make, and what of it is there by now: read from its marks alone.

For those who look at a run from outside: nothing is locked, written or read that could be large.
"""

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tapeout.graph.identity.action import Recipe
from tapeout.graph.workspace import LATER, OLD, Workspace


@dataclass
class Planned:
    """The plan, as it was when this was made.

    Attributes:
        made: what was found to be done; it stays so, and is not looked at again.
    """

    workspace: Workspace
    made: set[str] = field(default_factory=set)

    @cached_property
    def _plan(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self.workspace.plan_path.read_bytes())
        except (FileNotFoundError, ValueError):
            return {"recipes": {}, "forced": [], "families": {}}
        return found

    @property
    def artifacts(self) -> set[str]:
        """Everything that the targets need, to be made or not."""
        return set(self._plan["recipes"])

    @cached_property
    def _heads(self) -> dict[str, str]:
        families: dict[str, list[str]] = self._plan["families"]
        return {member: head for head, members in families.items() for member in members}

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """What is to be made, unless it is cut off."""
        names = set(self._heads) | set(self._plan["forced"])
        return {name: Recipe.from_json(self._plan["recipes"][name]) for name in sorted(names)}

    @cached_property
    def depth(self) -> dict[str, int]:
        """How many planned steps lie before each."""
        depth: dict[str, int] = {}
        for first in self.recipes:
            stack = [first]
            while stack:
                needs = [name for name in self.recipes[stack[-1]].dependencies() if name in self.recipes]
                if missing := [name for name in needs if name not in depth]:
                    stack += missing
                else:
                    depth[stack.pop()] = 1 + max((depth[name] for name in needs), default=-1)
        return depth

    def done(self) -> set[str]:
        """What is there by now: built, cut off or restored."""
        unresolved: dict[str, bool] = {}
        forced = set(self._plan["forced"])
        for name in sorted(self.recipes, key=lambda name: self.depth[name]):
            if name in self.made or self.lacks(name):
                continue
            head = self._heads.get(name)
            if head is not None and head not in unresolved:
                unresolved[head] = _time(self.workspace.resolved_path(head)) <= OLD
            if head is None or not unresolved[head]:
                sealed = _time(self.workspace.sealed_path(name))
                least = LATER if name in forced else _time(self.workspace.action_path(name))
                if sealed > least:
                    self.made.add(name)
        return self.made

    def lacks(self, name: str) -> list[str]:
        """Planned inputs of a step that are not done, as far as ``done`` has found."""
        return [need for need in self.recipes[name].dependencies() if need in self.recipes and need not in self.made]


def _time(path: Path) -> float:
    """When a mark says it was changed; 0 if it is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
