"""Where each value of a configuration comes from: a line of a file, or the command line."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tapeout.config.problems import Location
from tapeout.config.yaml_files import ConfigFile, Mark, line_of

COMMAND_LINE = "on the command line"


@dataclass(frozen=True)
class Layer:
    """Values of one file.

    Attributes:
        name: name of the file.
        marks: position of each value.
    """

    name: str
    marks: Mapping[Location, Mark]


class Origins:
    """Origin of each value of files that are merged.

    Args:
        files: the files; a later one overrides an earlier one.
        overrides: values of the command line, which override those of all files.
    """

    def __init__(self, files: Sequence[ConfigFile] = (), overrides: Mapping[str, Any] | None = None) -> None:
        self.layers = [Layer(file.name, file.marks) for file in files]
        if overrides:
            self.layers.append(Layer(COMMAND_LINE, dict(_marks(overrides, ()))))

    def add_sources(self, file: ConfigFile) -> None:
        """Add a sources file, of which each record replaces one of the same name."""
        self.layers.append(Layer(file.name, {("sources", *key): mark for key, mark in file.marks.items() if key}))

    def find(self, location: Location) -> tuple[str, Mark] | None:
        """Return the place and the mark of a value, or of the innermost section that was written for a missing one.

        Returns:
            None for a default.
        """
        layers, found = self.layers, None
        in_sources_file = location[:1] == ("sources",) and len(location) > 1
        for depth in range(2 if in_sources_file else 1, len(location) + 1):
            prefix = location[:depth]
            layers = [layer for layer in layers if prefix in layer.marks]
            if not layers:
                break
            found = layers[-1].name, layers[-1].marks[prefix]
            if not found[1].is_mapping or (in_sources_file and depth == 2):
                layers = layers[-1:]  # lists and records are replaced, not merged
        return found

    def place(self, location: Location) -> str:
        """Return the place of a value as text; empty for a default."""
        origin = self.find(location)
        if origin is None:
            return ""
        name, mark = origin
        return name if mark.line is None else line_of(name, mark.line)

    def rank(self, location: Location) -> int:
        """Return the number of the file that a value comes from; a later file overrides an earlier one."""
        origin = self.find(location)
        return max((index for index, layer in enumerate(self.layers) if origin and layer.name == origin[0]), default=-1)

    def is_given(self, location: Location) -> bool:
        """Return whether exactly this value was written."""
        return any(location in layer.marks for layer in self.layers)

    def text(self, location: Location) -> str | None:
        """Return a scalar as it is written; None for anything else."""
        origin = self.find(location) if self.is_given(location) else None
        return None if origin is None else origin[1].text


def _marks(value: Any, location: Location) -> Iterator[tuple[Location, Mark]]:
    yield location, Mark(is_mapping=isinstance(value, Mapping))
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _marks(inner, (*location, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _marks(inner, (*location, index))
