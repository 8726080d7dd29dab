"""Rows of instruction, context and response, as in Dolly and the NeMo SFT guide."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, create_model, model_validator

from tapeout.config.instructions import FormatOptions
from tapeout.config.section import Section, conflict
from tapeout.data.errors import BadRow
from tapeout.data.instructions.conversation import ASSISTANT, USER, ChatOptions, Turn, chat_row
from tapeout.data.instructions.fields import (
    METADATA,
    RESERVED_IN_ROWS,
    ExpectedFields,
    Fields,
    folded,
    is_empty,
    licence_of,
)
from tapeout.data.instructions.record import CleanText, FilledText, Record, RecordModel
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import Row, clean, context_first, digest_of

CITATION = re.compile(r"\[\d+\]")
System = Annotated[CleanText, BeforeValidator(lambda value: "" if value is None else value)]
History = Annotated[
    list[Annotated[list[FilledText], Field(min_length=2, max_length=2)]],
    BeforeValidator(lambda value: [] if is_empty(value) else value),
]


class Columns(Section):
    """Names of the fields of a row; null where the rows have no such field."""

    instruction: str = Field("instruction", description="The question or order.")
    context: str | None = Field("context", description="Text that it is about; may be empty in a row.")
    response: str = Field("response", description="The answer.")
    category: str | None = Field("category", description="Kind of the row; the split keeps the proportions of kinds.")
    group: str | None = Field(
        None, description="Rows with the same value share a split; a row without a value is its own group."
    )
    system: str | None = Field("system", description="System message; a row that has one becomes a conversation.")
    history: str | None = Field(
        "history", description="Earlier pairs of question and answer; a row that has some becomes a conversation."
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        seen: dict[str, str] = {}
        for key, name in self:
            if key != "category" and name in seen:
                cause = f"{seen[name]} and {key} are both the field {name}, and must be different fields"
                raise conflict(cause, "Correct one of the two.", key, seen[name])
            if key != "category" and name is not None:
                seen[name] = key
        return self


class Options(FormatOptions):
    """Rows of instruction, context, response and category, as Dolly's: JSONL, JSON, CSV or parquet."""

    format: Literal["prompt_response"] = Field(description="Name of this format.")
    fields: Columns = Field(Columns(), description="Names of the fields in the file.")
    category: str = Field("instruction", min_length=1, description="Category of rows that have no such field.")
    separator: str = Field("\n\n", description="Text between instruction and context.")
    seed: int = Field(1234, ge=0, description="Seed of the coin that decides whether the context comes first.")
    strip_citations: bool = Field(
        False,
        description="Remove citation marks such as [3] from contexts: right for prose like Dolly's, wrong for RTL, "
        "where it would remove bit selects.",
    )


def rows(records: Iterable[Record], options: Options, report: ImportReport) -> Iterator[Row]:
    """Yield a row for each record."""
    model = _model(options)
    columns = tuple(name for _, name in options.fields if name is not None)
    of_row = Fields("the row", columns, RESERVED_IN_ROWS | folded("input context"), METADATA | folded("text"))
    usual = dict(Columns())
    optional = {f"fields.{key}": (getattr(options.fields, key), usual[key]) for key in ("group", "system", "history")}
    expected = ExpectedFields(options, optional)
    for record in records:
        report.read["rows"] += 1
        expected.see(record.value)
        try:
            fields: Any = record.parse(model, of_row.select(record, record.value, options, report))
            licence = licence_of(record, options)
        except BadRow as error:
            report.reject(error)
            continue
        category = fields.category if options.fields.category else options.category
        texts = fields.instruction, fields.context, fields.response
        row = replace(prompt_row(record.source, texts, category, fields.group, options, report), licence=licence)
        if fields.system or fields.history:
            yield _conversation(record, row, fields, options, report)
        else:
            yield row
    expected.check()


def _conversation(record: Record, row: Row, fields: Any, options: Options, report: ImportReport) -> Row:
    """Return a row that has a system message or earlier turns as a conversation; all its answers are trained on."""
    report.read["rows with a system message or earlier turns"] += 1
    turns = [
        Turn(speaker, text) for pair in fields.history for speaker, text in zip((USER, ASSISTANT), pair, strict=True)
    ]
    turns += [Turn(USER, row.content["input"]), Turn(ASSISTANT, row.content["output"])]
    chat_options = ChatOptions(format="prompt_response", ignored_fields=options.ignored_fields)
    conversation = chat_row(record, turns, fields.system, chat_options, report, group=fields.group or None)
    assert conversation is not None, "it ends with an answer"
    question = conversation.question if fields.history else row.question
    return replace(conversation, category=row.category, question=question)


def prompt_row(
    source: str, texts: tuple[str, str, str], category: str, group: str, options: Options, report: ImportReport
) -> Row:
    """Return a row of instruction, context and response.

    Args:
        source: name of the source.
        texts: instruction, context and response, with normalized white space.
        category: category of the row.
        group: group of the row; empty if it is its own.
        options: separator, seed and citations.
        report: counts, which are updated.
    """
    instruction, context, response = texts
    if options.strip_citations:
        context, count = CITATION.subn("", context)
        context = clean(context)
        report.changed["citation marks removed"] += count
    digest = digest_of(instruction, context, response, category)
    parts = [part for part in (instruction, context) if part]
    question = "\n".join(parts)
    context_leads = context_first(options.seed, digest)
    if context:
        report.changed["context first" if context_leads else "instruction first"] += 1
    text = options.separator.join(reversed(parts) if context_leads else parts)
    return Row({"input": text, "output": response}, category, group or digest, question, digest, source)


def _model(options: Options) -> type[RecordModel]:
    """Return the model of a record with the configured names of its fields."""
    names = options.fields
    fields: dict[str, Any] = {
        "instruction": (FilledText, Field(alias=names.instruction)),
        "context": (CleanText, Field(alias=names.context) if names.context else ""),
        "response": (FilledText, Field(alias=names.response)),
        "category": (FilledText, Field(alias=names.category) if names.category else ""),
        "group": (CleanText, Field("", alias=names.group) if names.group else ""),
        "system": (System, Field("", alias=names.system) if names.system else ""),
        "history": (History, Field((), alias=names.history) if names.history else ()),
    }
    return create_model("PromptResponse", __base__=RecordModel, **fields)
