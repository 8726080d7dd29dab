"""Read pickles without running the code that they name.

Every class or function that a pickle names becomes a ``Stub`` that only records its arguments; plain containers are
loaded as they are. ``load_exact`` also refuses a pickle that names anything outside a list, so that PyTorch and
Megatron, which then read the same bytes with ``pickle``, can find nothing else in them.
"""

import io
import pickle
import struct
from collections.abc import Callable, Collection
from typing import Any, BinaryIO

from tapeout.guard.errors import UnusableModel, refuse

Name = tuple[str, str]
"""Module and name of a class or a function."""
DAMAGE = (
    *(pickle.UnpicklingError, EOFError, KeyError, IndexError, ValueError, TypeError, AttributeError, RuntimeError),
    *(AssertionError, OverflowError, MemoryError, struct.error),
)
"""Exceptions of damaged pickles, collected by damaging thousands of them at random."""
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


class Ordered(dict[Any, Any]):
    """Stand-in for ``OrderedDict``, which may have attributes: the state of a PyTorch module has ``_metadata``."""


HARMLESS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Ordered,
    ("torch", "Size"): tuple,
    ("_codecs", "encode"): lambda text, coding: text.encode("latin1"),  # how old protocols write bytes
    ("builtins", "bytearray"): lambda content=b"", *coding: (
        bytearray(content) if isinstance(content, bytes) else coding
    ),
    **{("builtins", kind.__name__): kind for kind in (dict, list, tuple, set, frozenset, complex)},
}
"""Callables that are really called, by module and name; ``bytearray`` on bytes only: a number would allocate memory."""


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
        Exception: a damaged pickle raises almost anything, see ``DAMAGE``.
    """
    return unpickler(lambda module, name: None)(io.BytesIO(file) if isinstance(file, bytes) else file).load()


def load_exact(data: bytes, allowed: Collection[Name], what: str, tensors: bool = False) -> Any:
    """Return the value of a pickle that names nothing outside ``allowed``, with stubs for all that it names.

    Args:
        data: the pickle.
        allowed: modules and names, exactly as they stand in the pickle.
        what: the file in messages.
        tensors: whether it is that of a file of ``torch.save``, which refers to the contents of tensors.

    Raises:
        UnusableModel: it is damaged, or names something else.
    """

    class ExactUnpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) not in allowed:
                raise refuse(what, f"names {module}.{name}, which a model does not need and which may run a program")
            return HARMLESS.get((module, name)) or type(name, (Stub,), {"what": f"{module}.{name}"})

        def persistent_load(self, reference: Any) -> Any:
            if not tensors:
                raise refuse(what, "refers to something outside it")
            return Storage(reference)

    file = io.BytesIO(data)
    try:
        value = ExactUnpickler(file).load()
    except DAMAGE as error:
        raise UnusableModel(f"{what} is damaged: {error}.", "Build or fetch it again.") from error
    if file.read(1):
        raise refuse(what, "continues after its end")
    return value


def load_objects(data: bytes, allowed: Collection[Name]) -> Any:
    """Return the value of a pickle that ``load_exact`` has accepted, with the real classes of ``allowed``.

    Raises:
        Exception: see ``DAMAGE``.
    """

    class ObjectUnpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) in allowed:
                return super().find_class(module, name)
            return type(name, (Stub,), {"what": f"{module}.{name}"})

    return ObjectUnpickler(io.BytesIO(data)).load()


class Storage:
    """Reference of a pickle to the content of a tensor.

    Attributes:
        kind: name of the class that states the type of the elements, such as ``FloatStorage``.
        key: name of the content in the file.
        elements: number of elements.
    """

    def __init__(self, reference: Any) -> None:
        word, kind, key, _, elements = reference
        if word != "storage" or not (isinstance(kind, type) and issubclass(kind, Stub)):
            raise ValueError("it refers to something that is not the content of a tensor")
        if not (isinstance(key, str) and key.isdecimal() and isinstance(elements, int) and elements >= 0):
            raise ValueError("it refers to the content of a tensor by an invalid name")
        self.kind, self.key, self.elements = kind.__name__, key, elements
