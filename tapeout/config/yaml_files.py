"""Read configuration files in YAML or JSON, with the line of every value.

What YAML reads differently from what was probably meant is an error: a repeated key, whose first value would be lost,
a key such as ``NO``, which is false, and numbers such as ``010``, which is 8.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from tapeout.config.problems import InvalidConfig, Location, Problem

MAX_DEPTH = 50
MAX_VALUES = 100_000
"""Limits of one file, aliases expanded."""
OCTAL = re.compile(r"[-+]?0[0-7_]+")
SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
STR, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"

SYNTAX = {
    r"'\\t'": "a tab cannot indent; YAML indents with blanks",
    r"mapping values are not allowed": 'a ":" is not expected here; quote the text, or correct the indentation',
    r"but found '<stream end>'": "the file ends too early, or a bracket is not closed",
    r"expected ',' or": "a bracket is not closed, or a comma is missing",
    r"could not find expected ':'": 'a key has no ":"',
    r"<block end>": "the indentation differs from that of the lines above",
    r"unexpected end of stream": "a quotation mark is not closed",
    r"undefined alias": "an alias (*name) has no anchor (&name)",
    r"but found another document": "a second document begins (---)",
    r"cannot start any token": "this character cannot begin a value; quote the text",
    r"unhashable key": "a list or section cannot be a key",
    r"could not determine a constructor": "a tag (!name) is not allowed",
}
"""Cause of a syntax error, by a pattern of PyYAML's message."""

MAX_BYTES = 64 << 20
"""Maximum size of a file; a larger one is probably data."""


@dataclass(frozen=True)
class Mark:
    """Position of a value.

    Attributes:
        line: number of its line; None for a value of the command line.
        text: a scalar as it is written.
        is_mapping: whether the value has keys.
    """

    line: int | None = None
    text: str | None = None
    is_mapping: bool = False


@dataclass(frozen=True)
class ConfigFile:
    """Content of a file.

    Attributes:
        name: path in messages: relative to the current folder if the file lies below it.
        content: keys and values.
        marks: position of each value.
    """

    name: str
    content: dict[str, Any]
    marks: Mapping[Location, Mark]


def read_file(path: str | Path, noun: str = "configuration file", may_be_empty: bool = False) -> ConfigFile:
    """Read a file that contains keys with values.

    Args:
        path: path of the file.
        noun: what the file is, for messages.
        may_be_empty: whether a file without content counts as one without keys.

    Raises:
        InvalidConfig: the file cannot be read, or with all repeated keys, ambiguous keys and ambiguous numbers in it.
    """
    name = display_name(path)
    file = Path(path)
    try:
        if not file.exists():
            fix = "Correct the path, which is relative to the current folder."
            if noun == "sources file":
                fix = f"{fix[:-1]}, or write it: tapeout sources pin hf_model:OWNER/NAME > {name}"
            raise InvalidConfig(f"There is no {noun} {name}.", fix)
        if not file.is_file():
            raise InvalidConfig(f"The {noun} {name} is not a regular file.", "Name a file.")
        if file.stat().st_size > MAX_BYTES:
            raise InvalidConfig(f"The {noun} {name} has more than {MAX_BYTES >> 20} MiB.", "Name a YAML file.")
        content = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidConfig(f"The {noun} {name} cannot be read: {reason}.", "Correct it, or its path.") from error
    text = _decode(content, name)
    try:
        value, root = _parse(text)
    except yaml.YAMLError as error:
        line, reason = _explain(error, text)
        fix = "Correct the line, or the one before it."
        raise InvalidConfig.of([Problem(f"this is not YAML: {reason}.", fix, line_of(name, line))]) from error
    except RecursionError as error:
        raise InvalidConfig(f"The {noun} {name} is nested too deeply.", "Write it with fewer levels.") from error
    except ValueError as error:
        raise InvalidConfig(f"The {noun} {name} cannot be read: {error}.", "Correct the file.") from error
    if value is None and may_be_empty:
        return ConfigFile(name, {}, {})
    if not isinstance(value, dict):
        kind = "is empty" if value is None else "does not consist of keys with values"
        raise InvalidConfig(f"The {noun} {name} {kind}.", "Write keys at its top level, each with a value.")
    marks, problems = _Walk(name).run(root)
    if not problems:
        for key in _broken_texts(value, ()):
            cause = f"{'.'.join(map(str, key))} contains a character that is not text."
            problems.append(Problem(cause, "Remove it.", line_of(name, marks[key].line or 1)))
    if problems:
        raise InvalidConfig.of(problems)
    return ConfigFile(name, value, marks)


def display_name(path: str | Path) -> str:
    """Return a path for messages: relative to the current folder if it lies below it."""
    absolute = Path.cwd() / path
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(path)


def line_of(name: str, line: int) -> str:
    """Return the place of a line."""
    return f"{name}, line {line}"


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested mappings with the values of ``over`` on top, as Snakemake merges configuration files."""
    inner = {
        key: merge(base[key], value)
        for key, value in over.items()
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
    }
    return {**base, **over, **inner}


def _broken_texts(value: Any, location: Location) -> Iterator[Location]:
    """Yield the locations of texts with a NUL or a lone surrogate, which no file of the build can contain."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _broken_texts(inner, (*location, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _broken_texts(inner, (*location, index))
    elif isinstance(value, str) and ("\0" in value or value.encode("utf-8", "replace").decode() != value):
        yield location


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = line_of(name, content.count(b"\n", 0, error.start) + 1)
        cause = f"byte 0x{content[error.start]:02x} is not UTF-8 text."
        raise InvalidConfig.of([Problem(cause, "Save the file as UTF-8.", place)]) from error


class _Loader(yaml.SafeLoader):
    """Loader that names the line of a value that does not fit its form or tag (``2026-13-45``, ``!!bool x``)."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, IndexError, OverflowError) as error:
            cause = f"a value is not a valid {node.tag.rpartition(':')[2]}; quote it if it is text"
            raise ConstructorError(None, None, cause, node.start_mark) from error


def _parse(text: str) -> tuple[Any, yaml.Node | None]:
    """Return the value of a text, and its nodes if PyYAML can read it."""
    try:
        value = json.loads(text)
    except ValueError:
        loader = _Loader(text)
        root = loader.get_single_node()
        # a value that an alias makes larger or that contains itself is found by the walk, not built
        return (None if root is None else loader.construct_document(root)), root
    try:  # a tab in JSON is white space, but PyYAML refuses it
        return value, yaml.SafeLoader(text.replace("\t", " ")).get_single_node()
    except yaml.YAMLError:
        return value, None


def _explain(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Return the line of a syntax error and its cause."""
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        message = str(error.problem or error.context)
        found = next((cause for pattern, cause in SYNTAX.items() if re.search(pattern, message)), message)
        opened = error.context_mark
        if opened and mark and opened.line != mark.line and "not closed" in found:
            found += f" (opened in line {opened.line + 1})"
        return (mark.line + 1 if mark else 1), found
    position = getattr(error, "position", 0)
    return text.count("\n", 0, position) + 1, "a control character is not allowed"


class _Walk:
    """Positions of all values of a file, and everything in it that YAML reads in an unexpected way."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.marks: dict[Location, Mark] = {}
        self.problems: list[Problem] = []
        self.values = 0

    def run(self, root: yaml.Node | None) -> tuple[dict[Location, Mark], list[Problem]]:
        """Return the positions and the problems."""
        if root is not None:
            self._visit(root, (), [])
        return self.marks, self.problems

    def _problem(self, node: yaml.Node, cause: str, fix: str) -> None:
        self.problems.append(Problem(cause, fix, line_of(self.name, node.start_mark.line + 1)))

    def _visit(self, node: yaml.Node, location: Location, parents: list[yaml.Node]) -> None:
        self.values += 1
        if any(node is parent for parent in parents):
            self._problem(node, "an alias refers to a value that contains it.", "Write the value out.")
            return
        if len(parents) > MAX_DEPTH:
            self._problem(node, f"more than {MAX_DEPTH} levels are nested.", "Write it with fewer levels.")
            return
        if self.values > MAX_VALUES:
            if self.values == MAX_VALUES + 1:
                self._problem(node, f"the file has more than {MAX_VALUES} values, aliases included.", "Remove aliases.")
            return
        scalar = node.value if isinstance(node, yaml.ScalarNode) else None
        self.marks[location] = Mark(node.start_mark.line + 1, scalar, isinstance(node, yaml.MappingNode))
        if isinstance(node, yaml.ScalarNode):
            self._check_number(node)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._visit(item, (*location, index), [*parents, node])
        elif isinstance(node, yaml.MappingNode):
            for key, value in self._keys(node):
                self._visit(value, (*location, key.value), [*parents, node])
                if (mark := self.marks.get((*location, key.value))) is not None and mark.is_mapping:
                    # a section is where its key is
                    self.marks[*location, key.value] = Mark(key.start_mark.line + 1, None, True)

    def _keys(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
        """Yield keys and values; PyYAML has merged those that ``<<`` brings in front of the mapping's own."""
        seen: dict[str, int] = {}
        start = node.start_mark.index
        for key, value in node.value:
            if key.tag != STR or not isinstance(key, yaml.ScalarNode):
                text = key.value if isinstance(key, yaml.ScalarNode) else "of several values"
                kind = key.tag.rpartition(":")[2]
                self._problem(key, f"YAML reads the key {text} as {kind}, not as text.", "Write it in quotes.")
                continue
            own = start <= key.start_mark.index < node.end_mark.index
            if own and key.value in seen:
                cause = f"the key {key.value} is repeated; it is first in line {seen[key.value]}."
                self._problem(key, cause, "Remove one of the two.")
            if own:
                seen[key.value] = key.start_mark.line + 1
            yield key, value

    def _check_number(self, node: yaml.ScalarNode) -> None:
        if node.style is not None or node.tag == STR:
            return
        if OCTAL.fullmatch(node.value):
            number = int(node.value.replace("_", ""), 8)
            fix = f'Write it without leading zeros or, for text, in quotes: "{node.value}".'
            self._problem(node, f"YAML reads {node.value} as an octal number, {number}.", fix)
        elif SEXAGESIMAL.fullmatch(node.value):
            fix = f'Write one number or, for text, "{node.value}".'
            self._problem(node, f"YAML reads {node.value} as a number of base 60.", fix)
