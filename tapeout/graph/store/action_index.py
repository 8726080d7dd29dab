"""Index of the store's entries, to find the actions that made an artifact."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.store.store import Store


class ActionIndex:
    """All entries of a store, read once."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.entries: dict[str, dict[str, Any]] = dict(store.entries())
        self._outputs = {action: Manifest.from_json(entry["manifest"]) for action, entry in self.entries.items()}
        self._by_artifact: dict[str, list[str]] = defaultdict(list)
        for action, manifest in self._outputs.items():
            self._by_artifact[manifest.artifact].append(action)

    def output(self, action: str) -> Manifest:
        """Return the manifest of an action's output."""
        return self._outputs[action]

    def of(self, item: dict[str, str]) -> list[str]:
        """Return the actions that made an input of an action (an artifact or a part of one), sorted.

        There may be several: different steps can produce the same bytes.
        """
        return [action for action in self._by_artifact[item["artifact"]] if _contains(self._outputs[action], item)]

    def latest(self, actions: Iterable[str]) -> str:
        """Return the action that was carried out last, by the journal."""
        return max(actions, key=lambda action: (self._order.get(action, -1), action))

    @cached_property
    def _order(self) -> dict[str, int]:
        return {line["action"]: number for number, line in enumerate(self.store.journal())}

    def closure(self, actions: Iterable[str]) -> set[str]:
        """Return the actions and everything upstream of them that the store knows."""
        result: set[str] = set()
        waiting = [action for action in actions if action in self.entries]
        while waiting:
            action = waiting.pop()
            if action not in result:
                result.add(action)
                for item in inputs(self.entries[action]["action"]):
                    waiting += self.of(item)
        return result


def inputs(action: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the inputs of an action, given as ``Action.value``."""
    for value in action.get("inputs", {}).values():
        yield from value if isinstance(value, list) else [value]


def _contains(output: Manifest, item: dict[str, str]) -> bool:
    path = item["path"]
    if path and not any(entry.path == path or entry.path.startswith(f"{path}/") for entry in output.entries):
        return False
    return output.digest(path) == item["digest"]
