"""The key ``base`` of the configuration: options of the kind of base model that it names."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import SerializeAsAny

from tapeout import plugins
from tapeout.config.base import BaseKind
from tapeout.config.plugin_options import PluginOptions
from tapeout.config.section import Section, conflict

KINDS = "tapeout.config.bases"
"""The seam of the kinds of base models."""


@dataclass(frozen=True)
class _KindOptions(PluginOptions):
    """Options of a kind; keys of another kind are named as such, because they look right."""

    def validate(self, value: Any) -> Section:
        """Return the options in ``value``; see ``PluginOptions.validate``."""
        kind = value.get(self.key, self.default) if isinstance(value, dict) else None
        if kind in plugins.available(KINDS):
            fields = {name: _fields(name) for name in plugins.available(KINDS)}
            for key in sorted(value.keys() - fields[kind]):
                owners = [name for name in fields if key in fields[name]]
                if owners:
                    raise conflict(
                        f"{key} is a key of kind {' or '.join(owners)}, and kind is {kind}",
                        f"Remove {key}, or set kind to {' or '.join(owners)}.",
                        key,
                        *([self.key] if self.key in value else []),
                    )
        return super().validate(value)


def _fields(kind: str) -> set[str]:
    return set(plugins.load(KINDS, kind).Base.model_fields)


BaseOptions = Annotated[SerializeAsAny[BaseKind], _KindOptions(KINDS, "kind", BaseKind, default="tiny", model="Base")]
