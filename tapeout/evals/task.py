"""Interface of a task (docs/extending.md), and the file with a task's result for one model.

A task is a module with a constant ``TASK``, an instance of a subclass of ``Task`` or ``SampledTask``. The rule
``evaluate`` calls ``score`` for each model, the rule ``eval_report`` calls ``measure`` and ``describe``. The module is
also imported where the configuration is read. PyTorch, SentencePiece and NumPy are not installed in all three places,
so a task imports them inside of ``score``.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from tapeout import plugins
from tapeout.config.evaluation import NEMO, TASKS
from tapeout.config.task_options import SampledOptions, SamplingOptions, TaskOptions
from tapeout.errors import TapeoutError
from tapeout.evals.section import Answered, Evidence, Measure, Section, Unit
from tapeout.models.finite import check_scores

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel

DIGITS = 4
"""Decimal digits of floats in results: bits and nats to 0.0001, far below any difference of interest."""


class UnusableResult(TapeoutError):
    """A file is not the result of a task, or does not fit the other inputs of a report."""


class Result(BaseModel):
    """Base class of results and their parts: unknown and missing fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelFacts(Result):
    """Size of an evaluated model.

    Attributes:
        context: maximum number of tokens.
        parameters: number of weights.
        vocabulary: rows of the embedding.
    """

    context: int
    parameters: int
    vocabulary: int


class Sample(Result):
    """One answer.

    Attributes:
        name: name of the prompt, unique in its set.
        number: 0 for the greedy answer, from 1 for sampled ones.
        prompt: SHA-256 of the text that the model was given.
        text: the answer as it was generated; None if prompt and answer do not fit into the model's context.
        tokens: number of generated tokens.
        finished: whether the model ended the answer.
    """

    name: str
    number: int
    prompt: str
    text: str | None
    tokens: int
    finished: bool


OptionsT = TypeVar("OptionsT", bound=TaskOptions)
ResultT = TypeVar("ResultT", bound=Result)


class ReportedTask(ABC, Generic[OptionsT, ResultT]):
    """Common base of all tasks: options, test data, a result for one model, and a section of the report.

    Attributes:
        options: class of the options, ``evaluation.tasks.<task>`` in the configuration. If it derives from
            ``QuestionOptions``, the task runs once for each evaluated instruction set, and the prompt template counts.
        result: class of the result for one model, with a score per test unit: models are compared unit by unit.
    """

    options: type[OptionsT]
    result: type[ResultT]

    @abstractmethod
    def files(self, options: OptionsT) -> Mapping[str, tuple[str, str]]:
        """Return the test data: artifact and path inside it of each file, by a name of the task's choice."""

    def searched(self, options: OptionsT) -> Mapping[str, tuple[str, str]]:
        """Return those of ``files`` that ``texts`` reads; by default all."""
        return self.files(options)

    def texts(self, files: Mapping[str, Path], options: OptionsT) -> Mapping[str, str] | None:
        """Return the text of each test unit by its digest, which the report searches for in the training text.

        By default None: files are JSON Lines of rows with a digest, whose texts are searched for.
        """
        return None

    def answered(self, result: ResultT) -> Mapping[str, Answered]:
        """Return each test unit by its digest, for readers of single answers; by default none."""
        return {}

    def tokens(self, options: OptionsT, context: int) -> float:
        """Return how many tokens pass through a model, at most; plans estimate the running time from it."""
        return 0.0

    @abstractmethod
    def measure(self, result: ResultT, options: OptionsT) -> Sequence[tuple[Measure, Sequence[Unit]]]:
        """Return the measures of a result, with the units that each one aggregates."""

    @abstractmethod
    def describe(self, evidence: Evidence[ResultT]) -> Section:
        """Describe the task's section of the report."""


class Task(ReportedTask[OptionsT, ResultT]):
    """A task in one step.

    Attributes:
        environment: locked environment (``envs/<name>.lock``) in which models are scored. Any other than ``nemo`` must
            have what loads a model, in the same versions; it computes on the CPU, and no container takes its place.
    """

    environment: str = NEMO

    @abstractmethod
    def score(self, model: "LoadedModel", files: Mapping[str, Path], options: OptionsT) -> ResultT:
        """Prepare the test data, and score a model on it."""


SamplingT = TypeVar("SamplingT", bound=SamplingOptions)
SampledT = TypeVar("SampledT", bound=SampledOptions)


class Sampler(ABC, Generic[SamplingT]):
    """The first of two steps, called by the rule ``samples`` in the environment ``nemo``.

    It is the constant ``SAMPLER`` of a module of its own, which imports nothing that judges: a change of judging or of
    the report then generates no answer again.

    Attributes:
        options: class of the options that affect the answers; its fields are also fields of the task's options.
    """

    options: type[SamplingT]

    @abstractmethod
    def files(self, options: SamplingT, part: int) -> Mapping[str, tuple[str, str]]:
        """Return the files with the prompts of a part, as ``ReportedTask.files`` does; the names are always the same.

        A task about problem sets has as many parts as its set, any other has one, part 0.
        """

    @abstractmethod
    def generate(self, model: "LoadedModel", files: Mapping[str, Path], options: SamplingT) -> Sequence[Sample]:
        """Let a model answer the prompts."""


class SampledTask(ReportedTask[SampledT, ResultT]):
    """A task in two steps, of which the second needs no model: its scores are reproduced from the saved samples.

    Attributes:
        sampler: dotted name of the module with the ``Sampler``.
    """

    sampler: str

    @abstractmethod
    def judge(self, samples: Sequence[Sample], files: Mapping[str, Path], options: SampledT, threads: int) -> ResultT:
        """Judge samples in the environment ``rtl``; ``threads`` must not affect the result."""


def load_task(name: str) -> ReportedTask[Any, Any]:
    """Return the task of a module.

    Raises:
        UnknownPlugin: there is no such module.
        TypeError: the module's ``TASK`` is missing or is not a task.
    """
    found: ReportedTask[Any, Any] = _load(name, "TASK", ReportedTask)
    return found


def load_scored_task(name: str) -> Task[Any, Any]:
    """Return the task in one step of a module; see ``load_task``."""
    found: Task[Any, Any] = _load(name, "TASK", Task)
    return found


def load_sampled_task(name: str) -> SampledTask[Any, Any]:
    """Return the task in two steps of a module; see ``load_task``."""
    found: SampledTask[Any, Any] = _load(name, "TASK", SampledTask)
    return found


def load_sampler(name: str) -> Sampler[Any]:
    """Return the sampler of a module; see ``load_task``."""
    found: Sampler[Any] = _load(name, "SAMPLER", Sampler)
    return found


def _load(name: str, constant: str, kind: type[Any]) -> Any:
    found = getattr(plugins.load(TASKS, name), constant, None)
    if not isinstance(found, kind):
        raise TypeError(f"{name} has no {constant} that is an instance of {kind.__name__}")
    return found


def write_result(path: Path, facts: ModelFacts, result: Result) -> None:
    """Write the result of a task for one model as JSON with sorted keys.

    Raises:
        NonFinite: a score is not finite; JSON has no such numbers.
    """
    document = {"model": facts.model_dump(mode="json"), "result": result.model_dump(mode="json")}
    check_scores(document["result"], "result")
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    path.write_bytes(orjson.dumps(document, option=options))


def read_result(path: Path, kind: type[ResultT]) -> tuple[ModelFacts, ResultT]:
    """Read the result of a task for one model.

    Raises:
        UnusableResult: the file is missing, or not such a result.
    """
    try:
        document = orjson.loads(path.read_bytes())
        return ModelFacts.model_validate(document["model"]), kind.model_validate(document["result"])
    except FileNotFoundError as error:
        raise UnusableResult(f"The evaluation {path} does not exist.", "Build the artifact of that name.") from error
    except (orjson.JSONDecodeError, KeyError, TypeError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise UnusableResult(f"{path} is not the result of a task: {reason}.", "Build the artifact again.") from error
