"""Tasks of self-instruct: an instruction and its instances, each with input and output. A task is a group."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from pydantic import Field

from tapeout.config.instructions import FormatOptions
from tapeout.data.errors import BadRow
from tapeout.data.instructions.fields import METADATA, Fields, folded, licence_of
from tapeout.data.instructions.record import FilledText, Record, RecordModel, Text
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import Row, clean, digest_of


class Options(FormatOptions):
    """Tasks of self-instruct: an instruction and its instances, each with input and output. A task is a group."""

    format: Literal["self_instruct"] = Field(description="Name of this format.")
    separator: str = Field("\n\n", description="Text between instruction and input; the instruction comes first.")


class Instance(RecordModel):
    """An instance of a task."""

    input: Text
    output: FilledText


class Task(RecordModel):
    """A task."""

    instruction: FilledText
    is_classification: bool | None = None
    instances: list[Instance]


TASK = Fields("the task", ("instruction", "is_classification", "instances"), metadata=METADATA | folded("seed_id"))
INSTANCE = Fields("an instance", ("input", "output"), prefix="instances.")


def rows(records: Iterable[Record], options: Options, report: ImportReport) -> Iterator[Row]:
    """Yield a row for each instance; a task of which one instance cannot be used gives none."""
    for record in records:
        report.read["tasks"] += 1
        try:
            value = TASK.select(record, record.value, options, report)
            if isinstance(value, Mapping) and isinstance(value.get("instances"), list):
                instances = [INSTANCE.select(record, instance, options, report) for instance in value["instances"]]
                value = {**value, "instances": instances}
            task = record.parse(Task, value, "the task")
            if not task.instances:
                raise record.bad("the task has no instance")
            licence = licence_of(record, options)
        except BadRow as error:
            report.reject(error)
            continue
        report.read["instances"] += len(task.instances)
        category = "classification" if task.is_classification is True else "generation"
        group = digest_of(task.instruction)
        for instance in task.instances:
            context = clean(instance.input)
            digest = digest_of(task.instruction, context, instance.output, category)
            text = options.separator.join(part for part in (task.instruction, context) if part)
            yield Row({"input": text, "output": instance.output}, category, group, text, digest, record.source, licence)
