"""Read pickles without running the code that they name, because an auditor cannot trust a checkpoint.

Every class or function that a pickle names becomes a ``Stub`` that only records its arguments; plain containers are
loaded as they are.
"""

import io
import pickle
from collections.abc import Callable
from typing import Any, BinaryIO

Finder = Callable[[str, str], Any]


class Stub:
    """Stand-in for an object of a class that a pickle names.

    Attributes:
        what: module and name of the class.
        arguments, options: what the class was called with.
        state: the argument of ``__setstate__``.
        items: members that were added to it.
    """

    what = ""

    def __new__(cls, *arguments: Any, **options: Any) -> "Stub":
        """Record the arguments; ``pickle`` does not always call ``__init__``."""
        stub = super().__new__(cls)
        stub.arguments, stub.options, stub.state, stub.items = arguments, options, None, []
        return stub

    arguments: tuple[Any, ...]
    options: dict[str, Any]
    state: Any
    items: list[Any]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Accept any arguments; ``__new__`` has recorded them."""

    def __setstate__(self, state: Any) -> None:
        """Record the state."""
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        """Record an item of a mapping."""
        self.items.append((key, value))

    def append(self, item: Any) -> None:
        """Record a member of a list or a set."""
        self.items.append(item)

    add = append

    def extend(self, items: Any) -> None:
        """Record members of a list."""
        self.items.extend(items)

    def parts(self) -> dict[str, Any]:
        """Return everything that was recorded, by kind."""
        recorded = {
            "arguments": list(self.arguments),
            "options": self.options,
            "state": self.state,
            "items": self.items,
        }
        return {"class": self.what, **{name: value for name, value in recorded.items() if value}}


HARMLESS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): dict,
    ("torch", "Size"): tuple,
    ("_codecs", "encode"): lambda text, coding: text.encode("latin1"),  # how old protocols write bytes
    **{("builtins", kind.__name__): kind for kind in (dict, list, tuple, set, frozenset, bytearray, complex)},
}


def unpickler(find: Finder) -> type[pickle.Unpickler]:
    """Return an unpickler class.

    ``find`` returns the object for a module and a name, or None to load a stub.
    """

    class SafeUnpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            known = find(module, name) or HARMLESS.get((module.replace("__builtin__", "builtins"), name))
            return known or type(name, (Stub,), {"what": f"{module}.{name}"})

    return SafeUnpickler


def load(file: BinaryIO | bytes) -> Any:
    """Return the value of a pickle, with stubs for everything but plain containers.

    Raises:
        Exception: a damaged pickle raises almost anything, see ``compare.tensors.READING``.
    """
    return unpickler(lambda module, name: None)(io.BytesIO(file) if isinstance(file, bytes) else file).load()
