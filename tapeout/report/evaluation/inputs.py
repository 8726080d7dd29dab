"""Inputs of the report besides the evaluations, and the digests of all artifacts that its numbers are computed from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tapeout.evals.task import UnusableResult

LOG = "train_log.json"
"""Name of the training log in the folder of a trained model."""


class Lenient(BaseModel):
    """The part of another step's file that the report reads; the file may have more fields."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Step(Lenient):
    """Mean loss of a training step, nats per token."""

    step: int
    loss: float


class Spike(Step):
    """Loss spike: a step with its loss, the median of the losses before it, and where it comes from.

    Attributes:
        median: loss that was expected.
        documents: documents or rows in the micro-batch with the highest loss of that step.
    """

    median: float
    documents: list[str]


class Selected(Lenient):
    """Step whose weights a trained model has, where the validation loss decides about weights or end."""

    step: int


class TrainLog(Lenient):
    """``train_log.json`` of a trained model."""

    steps: list[Step] = Field(min_length=1)
    validation: list[Step]
    parameters: int
    tokens: int
    spikes: list[Spike] = []
    selection: Selected | None = None


class Compression(Lenient):
    """Test text of one corpus, in tokens of the base tokenizer and of the extended one."""

    bytes: int
    documents: int
    tokens_before: int
    tokens_after: int


class Vocabulary(Lenient):
    """Number of pieces of the base tokenizer and of the extended one."""

    base: int
    extended: int


class TokenizerReport(Lenient):
    """``report.json`` of the tokenizer; ``test`` has one entry per corpus."""

    test: dict[str, Compression]
    vocabulary: Vocabulary


class Artifact(Lenient):
    """An input of a build step, as its action names it; ``path`` is the part of a folder that is used."""

    artifact: str
    path: str | None
    digest: str

    @property
    def label(self) -> str:
        """Name with the part."""
        return f"{self.artifact}/{self.path}" if self.path else self.artifact


class Action(Lenient):
    """Inputs of the report, by digest."""

    inputs: dict[str, Artifact | list[Artifact]]


def action_digest(path: Path) -> str:
    """Return the SHA-256 of an action, its key in the store; the newline at the end of the file does not count."""
    return sha256(path.read_bytes().removesuffix(b"\n")).hexdigest()


Form = TypeVar("Form", bound=Lenient)


def read_input(path: Path, form: type[Form]) -> Form:
    """Read a JSON file of a known form.

    Raises:
        UnusableResult: the file is missing, is not JSON or lacks a field.
    """
    try:
        return form.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise _missing(path) from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UnusableResult(
            f"{path} is not a {form.__name__}: {field or 'the file'}: {first['msg']}.", "Build its artifact again."
        ) from error


def read_logs(models: Mapping[str, Path]) -> dict[str, TrainLog]:
    """Read the training logs of the models that have one in their folder, by model."""
    files = {name: folder / LOG for name, folder in models.items()}
    return {name: read_input(path, TrainLog) for name, path in files.items() if path.is_file()}


@dataclass(frozen=True)
class Origin:
    """An artifact in the provenance table.

    Attributes:
        label: its name, with the path of the part that is used.
        size: bytes of its content.
    """

    label: str
    digest: str
    size: int


class Provenance:
    """Digests of all artifacts that the report is computed from, as its action names them.

    Args:
        action: the action of the report.
        paths: path of each input, by the input's name; a list for a list-valued input, in the action's order.

    Raises:
        UnusableResult: an input is missing, or action and paths do not name the same inputs.
    """

    def __init__(self, action: Action, paths: Mapping[str, Path | Sequence[Path]]) -> None:
        """Read the size of every input."""
        named = {name: value if isinstance(value, list) else [value] for name, value in action.inputs.items()}
        given = {name: [value] if isinstance(value, Path) else list(value) for name, value in paths.items()}
        self._origins: dict[str, Origin] = {}
        for name in sorted(named.keys() | given.keys()):
            artifacts, files = named.get(name, []), given.get(name, [])
            if len(artifacts) != len(files):
                raise UnusableResult(
                    f"The action names {len(artifacts)} artifacts as input '{name}', but the program got {len(files)}.",
                    "Pass each input of the rule to the program, in the rule's order.",
                )
            for artifact, path in zip(artifacts, files, strict=True):
                self._origins[artifact.label] = Origin(artifact.label, artifact.digest, size_in_bytes(path))

    def table(self) -> list[Origin]:
        """Return all artifacts, sorted by label."""
        return [self._origins[label] for label in sorted(self._origins)]

    def digests(self, *labels: str) -> dict[str, str]:
        """Return the digests of the named artifacts.

        Raises:
            UnusableResult: the action does not name one of them.
        """
        for label in labels:
            if label not in self._origins:
                raise UnusableResult(
                    f"The report depends on {label}, but its action does not name it.",
                    "Add the artifact to the input 'upstream' of the rule eval_report.",
                )
        return {label: self._origins[label].digest for label in sorted(labels)}


def size_in_bytes(path: Path) -> int:
    """Return the size of a file, or of all files below a folder: a function of the content alone.

    Raises:
        UnusableResult: there is nothing at ``path``.
    """
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    if not path.exists():
        raise _missing(path)
    return path.stat().st_size


def _missing(path: Path) -> UnusableResult:
    return UnusableResult(f"{path} does not exist.", "Build the artifact that contains it first.")
