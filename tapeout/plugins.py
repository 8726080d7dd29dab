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
from types import ModuleType

from tapeout.errors import TapeoutError

VARIABLE = "TAPEOUT_PLUGINS"
"""Environment variable in which the runner lists the modules that a step may load; unset outside a step."""


class UnknownPlugin(TapeoutError):
    """No module has this name."""


class UndeclaredPlugin(TapeoutError):
    """A step loads a module that its rule does not declare."""


def module_name(seam: str, name: str) -> str:
    """Return the dotted module name of the implementation ``name`` of a seam.

    Args:
        seam: the dotted name of the seam's package.
        name: a module of that package, or a dotted module name.
    """
    return name if "." in name else f"{seam}.{name}"


def available(seam: str) -> list[str]:
    """Return the names of the implementations in a seam's own package, sorted."""
    folder = Path(__file__).parents[1].joinpath(*seam.split("."))
    modules = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    return sorted(name for name in modules if not name.startswith("_"))


def declared() -> list[str] | None:
    """Return the dotted names of the modules that the running step may load; None outside a step."""
    names = os.environ.get(VARIABLE)
    return None if names is None else [name for name in names.split(",") if name]


def load(seam: str, name: str) -> ModuleType:
    """Import the implementation ``name`` of a seam.

    Raises:
        UnknownPlugin: there is no such module.
        UndeclaredPlugin: a step runs, and its rule does not declare the module.
    """
    module = module_name(seam, name)
    allowed = declared()
    if allowed is not None and module not in allowed:
        raise UndeclaredPlugin(
            f"This step loads {module}, which its rule does not declare.",
            "Add the module to the plugins of the rule, so that it counts as the step's code.",
        )
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module exists, and something that it imports is missing
        raise UnknownPlugin(
            f"There is no module {module}.",
            f"Name one of {', '.join(available(seam))}, or a module below the project's folder by its dotted name.",
        ) from error
