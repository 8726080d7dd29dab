"""YAML, or JSON, in which a key that stands twice is an error: the first of its values would be gone in silence."""

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml


class StrictLoader(yaml.SafeLoader):
    """The safe loader, but for keys that stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """A mapping each of whose keys stands once; keys that ``<<`` brings may be given anew.

        Raises:
            yaml.constructor.ConstructorError: with the line of a second one.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key.value} stands there a second time", key.start_mark
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_mapping(path: Path) -> dict[str, Any]:
    """The content of a file that has a mapping.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not UTF-8, not YAML, or no mapping, in words with the line.
    """
    text = path.read_bytes().decode()
    try:
        found = json.loads(text, object_pairs_hook=_single)  # as Snakemake: JSON with tabs is not YAML
    except json.JSONDecodeError:
        found = _parsed(text)
    if not isinstance(found, dict):
        raise ValueError("it holds no keys with values")
    return found


def _single(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)} stands there a second time")
    return found


def _parsed(text: str) -> Any:
    try:
        return yaml.load(text, StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ValueError(f"{f'line {mark.line + 1}: ' if mark else ''}{error.problem}") from error
    except yaml.reader.ReaderError as error:
        raise ValueError(f"character {error.position + 1}: {error.reason}") from error
