"""Check of a folder with tasks of lm-eval: configurations are data, and code in them is refused."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from tapeout.errors import TapeoutError

KINDS = ("binary", "bool", "float", "int", "map", "merge", "null", "omap", "pairs", "seq", "set", "str", "timestamp")
STANDARD = frozenset(f"tag:yaml.org,2002:{kind}" for kind in KINDS)
"""Tags of plain values; lm-eval's ``!function`` and YAML's ``python/name`` import Python."""

MERGE = "tag:yaml.org,2002:merge"


class UnusableTask(TapeoutError):
    """A task of lm-eval is unknown, cannot be read, or needs what the evaluation does not have."""


class CodeInTask(TapeoutError):
    """A task of lm-eval would run code of a source, or code that a model writes."""


def inside(folder: Path, name: str, base: Path, task: str) -> Path:
    """Return a file or folder that a task names, relative to ``base``.

    Raises:
        UnusableTask: it is not inside of ``folder``.
    """
    path = (base / name).resolve()
    if "://" in name or "::" in name or not path.is_relative_to(folder.resolve()):
        raise UnusableTask(
            f"{task} names {name}, which is not in its source.",
            "Put the file into the source, and name it relative to the folder of tasks.",
        )
    return path


def check_folder(folder: Path) -> None:
    """Check all task files of a folder, and what they include.

    Raises:
        UnusableTask: a file cannot be read, or includes one that is outside of the folder.
        CodeInTask: a file has a tag such as ``!function``.
    """
    pending, seen = sorted(folder.rglob("*.yaml"), reverse=True), set[Path]()
    while pending:
        path = pending.pop()
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        name = path.relative_to(folder).as_posix()
        try:
            root = yaml.compose(path.read_text("utf-8"), yaml.SafeLoader)
        except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0]
            raise UnusableTask(f"The task file {name} cannot be read: {reason}.", "Correct it.") from error
        for node in _nodes(root):
            if node.tag not in STANDARD:
                raise CodeInTask(
                    f"The task file {name} has {node.tag} in line {node.start_mark.line + 1}; a source is data, and "
                    "its code is not run.",
                    "Write the task with templates, filters and metrics of lm-eval, or use a task that lm-eval has.",
                )
        for included in _included(root):
            target = inside(folder, included, path.parent, f"The task file {name}")
            pending.append(folder / target.relative_to(folder.resolve()))


def _nodes(root: yaml.Node | None) -> Iterator[yaml.Node]:
    """Yield all nodes of a document, each once."""
    pending, seen = [root] if root is not None else [], set[int]()
    while pending:
        node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        yield node
        if isinstance(node, yaml.MappingNode):
            pending += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            pending += node.value


def _included(root: yaml.Node | None) -> list[str]:
    """Return the files that a document includes, also in a mapping that it merges (``<<``)."""
    pending, seen, found = [root], set[int](), list[str]()
    while pending:
        mapping = pending.pop()
        if not isinstance(mapping, yaml.MappingNode) or id(mapping) in seen:
            continue
        seen.add(id(mapping))
        for key, value in mapping.value:
            values = value.value if isinstance(value, yaml.SequenceNode) else [value]
            if key.tag == MERGE:
                pending += values
            elif key.value == "include":
                found += [node.value for node in values if isinstance(node, yaml.ScalarNode)]
    return found
