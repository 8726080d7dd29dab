"""Evaluation from outside of the package: how often a model's favourite first token is a word of the prompt."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from tapeout.config.task_options import TaskOptions
from tapeout.evals.rows import read_rows
from tapeout.evals.section import Evidence, Measure, Section, Table, TableRow, Unit
from tapeout.evals.task import Result, Task

if TYPE_CHECKING:
    from tapeout.evals.loaded_model import LoadedModel


class Options(TaskOptions):
    """Option of the toy."""

    rows: int = Field(3, ge=1, description="Maximum number of rows.")


class Echo(Result):
    """Whether the model repeats the prompt, by digest of the row."""

    repeated: dict[str, bool]


class EchoTask(Task[Options, Echo]):
    """Fraction of rows after whose text the model's most likely token occurs in that text."""

    options = Options
    result = Echo

    def files(self, options: Options) -> dict[str, tuple[str, str]]:
        """Return the general test text."""
        return {"text": ("corpus/general", "test.jsonl")}

    def score(self, model: "LoadedModel", files: Mapping[str, Path], options: Options) -> Echo:
        """Predict one token for each row."""
        import torch

        repeated = {}
        for row in read_rows(files["text"], ("text",))[: options.rows]:
            ids = model.encoder.encode(row["text"])[: model.facts.context]
            with torch.inference_mode():
                logits = model.network(input_ids=torch.tensor([ids])).logits
            repeated[row["digest"]] = int(logits[0, -1].argmax()) in ids
        return Echo(repeated=repeated)

    def measure(self, result: Echo, options: Options) -> list[tuple[Measure, list[Unit]]]:
        """Return one measure."""
        measure = Measure(
            name="echo",
            label="Echo rate",
            unit="rows",
            data="corpus/general",
            lower_is_better=True,
            total=len(result.repeated),
            percent=True,
            interval="wilson",
            change="points",
        )
        return [(measure, [Unit(digest, float(value)) for digest, value in result.repeated.items()])]

    def describe(self, evidence: Evidence[Echo]) -> Section:
        """Describe a table with one row."""
        return Section(title="Echoes", tables=[Table("Measure", [TableRow("Echo rate", ["echo"])])])


TASK = EchoTask()
