"""Toy data format from outside the package: text files with a question and an answer on each line, ``Q = A``."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from tapeout.config.instructions import FormatOptions
from tapeout.data.errors import BadRow
from tapeout.data.instructions.record import FilledText, Record, RecordModel
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import Row, digest_of

ENVIRONMENT = "data"


class Options(FormatOptions):
    """Options of a set of such files."""

    format: Literal["tests.toys.toy_format"] = Field(description="Name of this format.")
    mark: str = Field("=", min_length=1, description="Mark between question and answer.")


class Line(RecordModel):
    """A line."""

    question: FilledText
    answer: FilledText


def read(folders: Mapping[str, Path], options: Options, report: ImportReport) -> Iterator[Record]:
    """Yield the lines of all text files; only needed because these are not record files."""
    for source, folder in folders.items():
        for path in sorted(folder.rglob("*.txt")):
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                question, _, answer = line.partition(options.mark)
                yield Record(source, f"{path.name}, line {number}", {"question": question, "answer": answer})


def rows(records: Iterable[Record], options: Options, report: ImportReport) -> Iterator[Row]:
    """Yield a row for each line."""
    for record in records:
        report.read["lines"] += 1
        try:
            line = record.parse(Line, what="the line")
        except BadRow as error:
            report.reject(error)
            continue
        digest = digest_of(line.question, line.answer)
        content = {"input": line.question, "output": line.answer}
        yield Row(content, "toy", digest, line.question, digest, record.source)
