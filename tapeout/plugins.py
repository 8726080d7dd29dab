"""Load a plugin by name: a data format, model family, evaluation, training method, source kind or tokenizer.

A seam is a package in which each module implements one thing, for example ``tapeout.evals.tasks``. A configuration
names an implementation by its module name in that package (``bits_per_byte``), or by a dotted module name for one from
outside (``my_team.tasks.lint``), which must lie below the project's folder.

The code identity of a step follows static imports only. A rule therefore states the modules that its step loads by
name, ``plugins=[...]`` among its params: they and what they import become part of the step's code, and ``load`` refuses
any other module while a step runs. No other module of the project may import by name.
"""

import importlib
import os
from pathlib import Path
from traceback import extract_tb
from types import ModuleType

from tapeout.errors import TapeoutError

ROOT = Path(__file__).parents[1]
"""The project's folder."""
VARIABLE = "TAPEOUT_PLUGINS"
"""Environment variable in which the runner lists the modules that a step may load; unset outside a step."""


IMPORT_ERRORS = (
    *(ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, LookupError, ArithmeticError),
    *(AssertionError, OSError, RuntimeError),
)
"""Errors that the statements of a module can raise."""


class UnknownPlugin(TapeoutError):
    """No module of the project has this name."""


class InvalidPlugin(TapeoutError):
    """A module cannot be imported, or the rule of the running step does not declare it."""


def module_name(seam: str, name: str) -> str:
    """Return the dotted module name of the implementation ``name`` of a seam."""
    return name if "." in name else f"{seam}.{name}"


def available(seam: str) -> list[str]:
    """Return the names of the implementations in a seam's own package, sorted."""
    folder = ROOT.joinpath(*seam.split("."))
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    return sorted(name for name in modules if not name.startswith("_"))


def declared() -> list[str] | None:
    """Return the dotted names of the modules that the running step may load; None outside a step."""
    names = os.environ.get(VARIABLE)
    return None if names is None else [name for name in names.split(",") if name]


def load(seam: str, name: str) -> ModuleType:
    """Import the implementation ``name`` of a seam.

    Raises:
        UnknownPlugin: the project has no such module.
        InvalidPlugin: the module is not Python, something that it imports is missing, or a step runs whose rule does
            not declare it.
    """
    module = module_name(seam, name)
    parts = module.split(".")
    unknown = UnknownPlugin(
        f"There is no module {module}.",
        f"Name one of {', '.join(available(seam))}, or a module below the project's folder by its dotted name.",
    )
    if not all(part.isidentifier() for part in parts):
        raise unknown
    allowed = declared()
    if allowed is not None and module not in allowed:
        raise InvalidPlugin(
            f"This step loads {module}, which its rule does not declare.",
            "Add the module to the plugins of the rule, so that it counts as the step's code.",
        )
    try:
        loaded = importlib.import_module(module)
    except IMPORT_ERRORS as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module}.".startswith(f"{missing}."):
            raise unknown from error
        raise InvalidPlugin(f"The module {module} cannot be imported: {_reason(error)}.", "Correct it.") from error
    base = ROOT.joinpath(*parts)
    files = (base.with_suffix(".py").resolve(), (base / "__init__.py").resolve())
    if loaded.__file__ is None or Path(loaded.__file__).resolve() not in files:
        raise unknown  # a module from elsewhere, whose code is not part of the step's identity
    return loaded


def _reason(error: BaseException) -> str:
    """Return an error's class and message, and the innermost line of the project's code in its traceback."""
    lines = [frame.lineno for frame in extract_tb(error.__traceback__)[1:] if frame.filename.startswith(f"{ROOT}/")]
    text = ": ".join([type(error).__name__, *str(error).splitlines()[:1]]).rstrip(".")
    return f"{text} (line {lines[-1]})" if lines else text  # the message of a syntax error has its line
