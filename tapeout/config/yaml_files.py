"""Read and merge configuration files in YAML or JSON.

A repeated key is an error, because its first value would be lost without notice.
"""

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from tapeout.errors import TapeoutError


class InvalidConfig(TapeoutError):
    """The configuration is invalid."""


class StrictLoader(yaml.SafeLoader):
    """Safe loader that rejects duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping; keys that ``<<`` brings may be overridden.

        Raises:
            yaml.constructor.ConstructorError: a key is repeated; the error names the line of the second one.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value}", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the content of a file that contains a mapping.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not UTF-8, not YAML, or not a mapping; the message names the line.
    """
    text = path.read_bytes().decode()
    try:
        content = json.loads(text, object_pairs_hook=_unique)  # like Snakemake: JSON with tabs is not YAML
    except json.JSONDecodeError:
        content = _parsed(text)
    if not isinstance(content, dict):
        raise ValueError("it does not contain keys with values")
    return content


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return nested mappings with the values of ``over`` on top, as Snakemake merges configuration files."""
    inner = {
        key: merge(base[key], value)
        for key, value in over.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**base, **over, **inner}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"duplicate key {next(name for name in names if names.count(name) > 1)}")
    return mapping


def _parsed(text: str) -> Any:
    try:
        return yaml.load(text, StrictLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise ValueError(f"{f'line {mark.line + 1}: ' if mark else ''}{error.problem}") from error
    except yaml.reader.ReaderError as error:
        raise ValueError(f"character {error.position + 1}: {error.reason}") from error
