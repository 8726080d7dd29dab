"""Rows of instruction, context and response, as in Dolly and the NeMo SFT guide."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, create_model, model_validator

from tapeout.config.instructions import FormatOptions
from tapeout.config.section import Section
from tapeout.data.errors import BadRow
from tapeout.data.instructions.record import FilledText, Record, RecordModel, Text
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import Row, clean, context_first, digest_of

CITATION = re.compile(r"\[\d+\]")


class Columns(Section):
    """Names of the fields of a row; null where the rows have no such field."""

    instruction: str = Field("instruction", description="The question or order.")
    context: str | None = Field("context", description="Text that it is about; may be empty in a row.")
    response: str = Field("response", description="The answer.")
    category: str | None = Field("category", description="Kind of the row; the split keeps the proportions of kinds.")
    group: str | None = Field(
        None, description="Rows with the same value share a split; a row without a value is its own group."
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [name for name in (self.instruction, self.context, self.response, self.group) if name is not None]
        if len(set(names)) < len(names):
            raise ValueError("instruction, context, response and group must be different fields")
        return self


class Options(FormatOptions):
    """Rows of instruction, context, response and category, as Dolly's: JSONL, JSON, CSV or parquet."""

    format: Literal["prompt_response"] = Field(description="Name of this format.")
    fields: Columns = Field(Columns(), description="Names of the fields in the file.")
    other_fields: Literal["ignore", "reject"] = Field(
        "ignore",
        description="Fields that are not named in fields: ignored, or an error (detects misspellings).",
    )
    category: str = Field("instruction", min_length=1, description="Category of rows that have no such field.")
    separator: str = Field("\n\n", description="Text between instruction and context.")
    seed: int = Field(1234, description="Seed of the coin that decides whether the context comes first.")
    strip_citations: bool = Field(
        False,
        description="Remove citation marks such as [3] from contexts: right for prose like Dolly's, wrong for RTL, "
        "where it would remove bit selects.",
    )


def rows(records: Iterable[Record], options: Options, report: ImportReport) -> Iterator[Row]:
    """Yield a row for each record."""
    model = _model(options)
    for record in records:
        report.read["rows"] += 1
        try:
            fields: Any = record.parse(model)
        except BadRow as error:
            report.reject(error)
            continue
        category = fields.category if options.fields.category else options.category
        yield prompt_row(
            record.source,
            (fields.instruction, fields.context, fields.response),
            category,
            fields.group,
            options,
            report,
        )


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
        "context": (Text, Field(alias=names.context) if names.context else ""),
        "response": (FilledText, Field(alias=names.response)),
        "category": (FilledText, Field(alias=names.category) if names.category else ""),
        "group": (Text, Field("", alias=names.group) if names.group else ""),
    }
    extra: Literal["forbid", "ignore"] = "forbid" if options.other_fields == "reject" else "ignore"
    base = type("PromptResponse", (RecordModel,), {"model_config": ConfigDict(extra=extra)})
    return create_model("PromptResponse", __base__=base, **fields)
