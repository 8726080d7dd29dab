"""Configuration sections that are validated by the plugin that they name.

An option such as ``format: squad`` names a module of a seam (see ``tapeout.plugins``); the other keys beside it are the
fields of that module's ``Options``. So an implementation brings its own options, and the configuration checks them
without knowing it.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from tapeout import plugins
from tapeout.config.section import CONFLICT, Section, conflict
from tapeout.errors import did_you_mean


@dataclass(frozen=True)
class PluginOptions:
    """Annotation of a field that takes the ``Options`` of the plugin that it names.

    Use it as ``Annotated[SerializeAsAny[Base], PluginOptions(SEAM, "format", Base)]``.

    Attributes:
        seam: dotted name of the seam's package.
        key: the option that names the plugin.
        base: the common base class.
        default: the plugin where the option is missing; None if it is required.
        model: name of the section in the plugin's module.
    """

    seam: str
    key: str
    base: type[Section]
    default: str | None = None
    model: str = "Options"

    def validate(self, value: Any) -> Section:
        """Return the options in ``value``, a mapping, or a section that was validated before.

        Raises:
            PydanticCustomError: the plugin is missing or unknown.
        ValidationError: it does not accept the options.
        """
        if isinstance(value, Section):
            return value
        name = value.get(self.key, self.default) if isinstance(value, dict) else None
        try:
            options: type[Section] = plugin_class(self.seam, name, self.model, self.base, self.key)
        except ValueError as error:
            fix = f"Name one of {', '.join(plugins.available(self.seam))}, or a module by its dotted name."
            raise conflict(str(error), fix, self.key) from error
        try:
            return options.model_validate(value)
        except ValidationError as error:
            raise with_hints(error, options) from error

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate with ``validate``; serialize by the class of the value."""
        serialization = core_schema.plain_serializer_function_ser_schema(
            lambda options: options.model_dump(mode="json")
        )
        return core_schema.no_info_plain_validator_function(self.validate, serialization=serialization)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Allow the options of any implementation in the seam's own package, and any object with a dotted name."""
        modules = [plugins.load(self.seam, name) for name in plugins.available(self.seam)]
        models = [getattr(module, self.model) for module in modules if hasattr(module, self.model)]
        own = [handler(model.__pydantic_core_schema__) for model in models]
        dotted = {"properties": {self.key: {"type": "string", "pattern": r"\."}}, "required": [self.key]}
        return {"anyOf": [*own, {"type": "object", **dotted}]}


def plugin_class(seam: str, name: Any, member: str, base: type[Section], noun: str) -> type[Any]:
    """Return the class ``member`` of a plugin.

    Args:
        seam: dotted name of the seam's package.
        name: the plugin, as the configuration names it.
        member: name of the class in the plugin's module.
        base: class that it must be derived from.
        noun: what the plugin is, for the error message.

    Raises:
        ValueError: there is no such plugin, or it lacks the class.
    """
    found = plugin_member(seam, name, member, noun)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"{noun} {name}: its {member} is not derived from {base.__module__}.{base.__name__}")
    return found


def plugin_member(seam: str, name: Any, member: str, noun: str) -> Any:
    """Return the object ``member`` of a plugin; see ``plugin_class``."""
    known = plugins.available(seam)
    if not isinstance(name, str):
        raise ValueError(f"{noun} must name one of {', '.join(known)}, or a module by its dotted name")
    try:
        module = plugins.load(seam, name)
    except plugins.UnknownPlugin as error:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
        hint = "there is no such module below the project's folder" if "." in name else hint
        raise ValueError(f"{noun} {name} is unknown; {hint}") from error
    except plugins.InvalidPlugin as error:
        raise ValueError(f"{noun} {name}: {error.cause}") from error
    if not hasattr(module, member):
        raise ValueError(f"{name} is not a {noun}: the module {module.__name__} has no {member}")
    return getattr(module, member)


def with_hints(error: ValidationError, options: type[Section], prefix: tuple[str, ...] = ()) -> ValidationError:
    """Return the error with a "did you mean" hint (``ctx["hint"]``) for each unknown key.

    Args:
        error: the error from validating ``options``.
        options: model of the plugin's options.
        prefix: keys under which the options stand; they precede each location.
    """
    details = []
    for found in error.errors():
        kind: PydanticCustomError | str = found["type"]
        if kind == "extra_forbidden":
            hint = found.get("ctx", {}).get("hint") or unknown_key_hint(options, found["loc"])
            kind = PydanticCustomError("extra_forbidden", "unknown key{hint}", {"hint": hint})
        elif kind == CONFLICT:
            kind = conflict(found["ctx"]["cause"], found["ctx"]["fix"], *found["ctx"]["keys"])
        details.append(
            InitErrorDetails(type=kind, loc=(*prefix, *found["loc"]), input=found["input"], ctx=found.get("ctx", {}))
        )
    return ValidationError.from_exception_data(options.__name__, details)


def unknown_key_hint(model: type[BaseModel], location: Sequence[int | str]) -> str:
    """Return the end of the sentence about an unknown key: the closest field of its section, or only the full stop.

    Args:
        model: the section that was validated.
        location: keys that lead to the unknown one, which is the last.
    """
    *parents, key = location
    here: Any = model
    for parent in parents:
        if get_origin(here) is dict:
            here = get_args(here)[1]
        elif isinstance(here, type) and issubclass(here, BaseModel) and parent in here.model_fields:
            here = here.model_fields[str(parent)].annotation
        else:
            return "."
    is_section = isinstance(here, type) and issubclass(here, BaseModel)
    return did_you_mean(str(key), here.model_fields if is_section else ())
