"""Questions about real RTL with exact answers, made from parses of short excerpts of modules.

The input is the source text of cores, not records: ``read`` yields documents. Whole cores are held out for the test
split. Rows have the form of ``prompt_response``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from tapeout.config.corpus import Corpus, DomainCorpus
from tapeout.config.instructions import FormatOptions, Split
from tapeout.config.section import conflict
from tapeout.config.sources import SourceName
from tapeout.data.instructions.formats import prompt_response
from tapeout.data.instructions.record import Record
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import Row, clean
from tapeout.data.rtl.limits import Limits

ENVIRONMENT = "data"


class RtlSplit(Split):
    """Fractions of the rows from training cores; test rows come from the held-out cores."""

    validation: float = Field(0.06, ge=0, lt=1, description="Fraction of the rows for validation.")
    test: float = Field(0.0, ge=0, lt=1, description="Fraction of the rows of training cores for the test.")
    conflicting_rows: Literal["keep", "stop"] = Field(
        "stop", description="Rows with the same question and different answers: kept in one split, or an error."
    )
    near_duplicates: float = Field(
        1, gt=0, le=1, description="Minimum similarity at which questions must share a split; at 1 only equal ones."
    )


class Options(FormatOptions, Limits):
    """Questions about the cores of the domain corpus; the held-out cores give the test rows."""

    format: Literal["rtl"] = Field(description="Name of this format.")
    cores: DomainCorpus | None = Field(
        None, description="Cores, held-out cores and patterns of files; those of the section corpus.domain if null."
    )
    separator: str = Field("\n\n", description="Text between question and excerpt.")
    seed: int = Field(1234, ge=0, description="Seed of the coin that decides whether the excerpt comes first.")
    split: RtlSplit = RtlSplit()

    @model_validator(mode="after")
    def _no_record_files(self) -> Self:
        options = ("files", "bad_rows", "max_row_bytes", "other_fields", "ignored_fields")
        ignored = [name for name in options if getattr(self, name) != FormatOptions.model_fields[name].default]
        if self.sources and (self.cores is None or self.sources != self.cores.sources):
            ignored.append("sources")
        if ignored:
            cause = f"{', '.join(ignored)} would have no effect: cores, or corpus.domain, states what is read"
            raise conflict(cause, f"Remove {' and '.join(ignored)}.", *ignored)
        return self

    def resolved(self, name: str, corpus: Corpus) -> Self:
        """Fill in the cores; they are the sources."""
        cores = self.cores or corpus.domain
        return self.model_copy(update={"cores": cores, "sources": cores.sources})

    @property
    def held_out(self) -> tuple[SourceName, ...]:
        """The held-out cores."""
        return self.cores.test if self.cores else ()


def read(folders: Mapping[str, Path], options: Options, report: ImportReport) -> Iterator[Record]:
    """Yield the documents of all cores."""
    from tapeout.data.corpus.corpus import read_sources

    assert options.cores is not None, "the options are resolved"
    documents, tallies = read_sources(list(folders), list(folders.values()), options.cores)
    for name, tally in tallies.items():
        for reason, count in tally.dropped.items():
            location = f"{name}/{tally.first[reason]}" if reason in tally.first else None
            report.drop(f"file: {reason}", location, count)
    for document in documents:
        report.read["documents"] += 1
        yield Record(document.source, document.path, document)


def rows(records: Iterable[Record], options: Options, report: ImportReport) -> Iterator[Row]:
    """Yield a row for each selected question."""
    from tapeout.data.instructions.rtl_questions import select_questions  # needs the parser

    form = prompt_response.Options(format="prompt_response", separator=options.separator, seed=options.seed)
    for row in select_questions([record.value for record in records], options.held_out, options, report):
        report.read["questions"] += 1
        question = row.question
        instruction, context, response = map(clean, (question.instruction, question.context, question.response))
        texts = instruction, context, response
        asked = prompt_response.prompt_row(row.source, texts, question.category, row.group, form, report)
        yield replace(asked, licence=row.licence)
