"""Which artifacts stand behind which number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tapeout.errors import TapeoutError
from tapeout.report.evaluation.inputs import Action, Artifact, size_in_bytes

MODELS = {"base": "base", "dapt": "dapt/model", "sft": "sft/model"}
"""Artifact of each measured model."""

CORPORA = {"domain": "corpus/domain", "general": "corpus/general"}
ROWS = "instructions/splits"


class UnknownProvenance(TapeoutError):
    """The action does not name an artifact that a number depends on."""


@dataclass(frozen=True)
class Origin:
    """A row of the provenance table."""

    label: str
    digest: str
    size: int


class Provenance:
    """Digests of all artifacts behind the report, from its action.

    Args:
        action: the action of the report.
        paths: where each input lies, by the input's name; a list for a list-valued input, in the action's order.

    Raises:
        UnknownProvenance: action and paths do not name the same inputs.
    """

    def __init__(self, action: Action, paths: Mapping[str, Path | Sequence[Path]]) -> None:
        named = {name: value if isinstance(value, list) else [value] for name, value in action.inputs.items()}
        given = {name: [value] if isinstance(value, Path) else list(value) for name, value in paths.items()}
        for name in sorted(named.keys() | given.keys()):
            if len(named.get(name, [])) != len(given.get(name, [])):
                raise UnknownProvenance(
                    f"The action names {len(named.get(name, []))} artifacts as input '{name}', but "
                    f"{len(given.get(name, []))} were given.",
                    "Pass each input of the rule to the program, in the rule's order.",
                )
        self._by_label: dict[str, Artifact] = {}
        self._sizes: dict[str, int] = {}
        for name, artifacts in named.items():
            for artifact, path in zip(artifacts, given[name], strict=True):
                self._by_label[artifact.label] = artifact
                self._sizes[artifact.label] = size_in_bytes(path)

    def table(self) -> list[Origin]:
        """All artifacts, by name."""
        return [Origin(label, self._by_label[label].digest, self._sizes[label]) for label in sorted(self._by_label)]

    def behind(self, *labels: str) -> dict[str, str]:
        """Digests of the named artifacts.

        Raises:
            UnknownProvenance: the action does not name one of them.
        """
        for label in labels:
            if label not in self._by_label:
                raise UnknownProvenance(
                    f"The report depends on {label}, but its action does not name it.",
                    "Add the artifact to the input 'behind' of the rule eval_report.",
                )
        return {label: self._by_label[label].digest for label in sorted(labels)}
