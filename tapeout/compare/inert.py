"""Pickles read without running what they ask for: an auditor's program must not trust a checkpoint.

Whatever class or function a pickle names becomes a ``Named`` thing that only remembers what it was given; plain
containers stay what they are.
"""

import io
import pickle
from collections.abc import Callable
from typing import Any, BinaryIO

Finder = Callable[[str, str], Any]


class Named:
    """Something that a pickle names: ``what`` is its module and name, the rest is what it was called with and given."""

    what = ""

    def __new__(cls, *arguments: Any, **options: Any) -> "Named":
        made = super().__new__(cls)
        made.arguments, made.options, made.state, made.items = arguments, options, None, []
        return made

    arguments: tuple[Any, ...]
    options: dict[str, Any]
    state: Any
    items: list[Any]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append((key, value))

    def append(self, item: Any) -> None:
        """A member of a list or of a set."""
        self.items.append(item)

    add = append

    def extend(self, items: Any) -> None:
        """Members of a list."""
        self.items.extend(items)

    def parts(self) -> dict[str, Any]:
        """All that it was given, by kind."""
        given = {"arguments": list(self.arguments), "options": self.options, "state": self.state, "items": self.items}
        return {"class": self.what, **{name: value for name, value in given.items() if value}}


HARMLESS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): dict,
    ("torch", "Size"): tuple,
    ("_codecs", "encode"): lambda text, coding: text.encode("latin1"),  # bytes in old pickles
    **{("builtins", kind.__name__): kind for kind in (dict, list, tuple, set, frozenset, bytearray, complex)},
}


def unpickler(find: Finder) -> type[pickle.Unpickler]:
    """An unpickler that asks ``find`` for a module and a name first; it answers None for what is not to be run."""

    class Inert(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            found = find(module, name) or HARMLESS.get((module.replace("__builtin__", "builtins"), name))
            return found or type(name, (Named,), {"what": f"{module}.{name}"})

    return Inert


def nothing(module: str, name: str) -> None:
    """The finder that knows nothing: only plain containers are made."""


def load(file: BinaryIO | bytes) -> Any:
    """The value of a pickle.

    Raises:
        Exception: a pickle that is no pickle raises almost anything (``pickle.UnpicklingError`` if one is lucky).
    """
    return unpickler(nothing)(io.BytesIO(file) if isinstance(file, bytes) else file).load()
