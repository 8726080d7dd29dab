"""What the report is made from, besides the evaluations: training logs, the tokenizer's report, the action."""

from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tapeout.errors import TapeoutError


class UnreadableReportInput(TapeoutError):
    """An input of the report is missing or has another form than expected."""


class Lenient(BaseModel):
    """The part of another stage's file that the report reads; more fields may stand there."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Step(Lenient):
    """One training step: mean loss in nats per token."""

    step: int
    loss: float


class TrainLog(Lenient):
    """``train_log.json`` of a trained model."""

    steps: list[Step] = Field(min_length=1)
    validation: list[Step]
    parameters: int
    tokens: int


class Compression(Lenient):
    """Test text of one corpus in the base tokenizer and in the extended one."""

    bytes: int
    documents: int
    tokens_before: int
    tokens_after: int


class TestText(Lenient):
    """Both corpora."""

    domain: Compression
    general: Compression


class Vocabulary(Lenient):
    """Number of pieces."""

    base: int
    extended: int


class TokenizerReport(Lenient):
    """``report.json`` of the tokenizer."""

    test: TestText
    vocabulary: Vocabulary


class Artifact(Lenient):
    """An input of a build step, as its action names it; ``path`` is the part of a folder that was used."""

    artifact: str
    path: str | None
    digest: str

    @property
    def label(self) -> str:
        """Name with the part."""
        return f"{self.artifact}/{self.path}" if self.path else self.artifact


class Action(Lenient):
    """The action of the report: what it was made from, by digest."""

    inputs: dict[str, Artifact | list[Artifact]]


def action_digest(path: Path) -> str:
    """SHA-256 of an action, the name under which the store keeps what it made; in its file a line end follows."""
    return sha256(path.read_bytes().removesuffix(b"\n")).hexdigest()


Form = TypeVar("Form", bound=Lenient)


def read_input(path: Path, form: type[Form]) -> Form:
    """Read a JSON file of a known form.

    Raises:
        UnreadableReportInput: the file is missing, is not JSON or lacks a field.
    """
    try:
        return form.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise UnreadableReportInput(f"{path} does not exist.", "Build the artifact that holds it first.") from error
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UnreadableReportInput(
            f"{path} is not a {form.__name__}: {field or 'the file'}: {first['msg']}.", "Build its artifact again."
        ) from error


def size_in_bytes(path: Path) -> int:
    """Size of a file, or of all files below a folder: a function of the content, whatever the file system."""
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    if not path.exists():
        raise UnreadableReportInput(f"{path} does not exist.", "Build the artifact that holds it first.")
    return path.stat().st_size
