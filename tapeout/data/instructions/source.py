"""An imported source, from its folder to the artifact."""

import mmap
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from tapeout.config.imported import SIDES, ChatTrees, ImportJob, Messages, PromptResponse, SelfInstruct, ShareGpt, Squad
from tapeout.data.instructions.formats.conversations import message_rows
from tapeout.data.instructions.formats.oasst import tree_rows
from tapeout.data.instructions.formats.prompt_response import prompt_rows, task_rows
from tapeout.data.instructions.formats.squad import squad_rows
from tapeout.data.instructions.import_report import Account, EmptySide, NoRows
from tapeout.data.instructions.parts import format_source, ready_rows
from tapeout.data.instructions.reading import Record, read_records
from tapeout.data.instructions.row import Ready, Row
from tapeout.data.instructions.row_split import split_rows
from tapeout.data.io.jsonl import write_json


def rows_of(records: Iterable[Record], job: ImportJob, account: Account) -> Iterator[Row]:
    """Yield the rows of some records in the format of their source.

    Raises:
        BadRow, BadQuestionTemplate: as named.
    """
    match job.rows:
        case PromptResponse() as options:
            yield from prompt_rows(records, options, account)
        case SelfInstruct() as options:
            yield from task_rows(records, options, account)
        case Squad() as options:
            yield from squad_rows(records, options, job.template or "", account)
        case ChatTrees() as options:
            yield from tree_rows(records, options, account)
        case Messages() | ShareGpt() as options:
            yield from message_rows(records, options, account)


def read_rows(folder: Path, job: ImportJob, account: Account) -> Iterator[Row]:
    """Yield the rows of a source in its format, one by one.

    Raises:
        BrokenFile, BadRow, BadQuestionTemplate: as named.
    """
    yield from rows_of(read_records(folder, job.rows, account), job, account)


def import_source(folder: Path, job: ImportJob, output: Path, workers: int = 1) -> dict[str, int]:
    """Make the folder ``output`` with train.jsonl, validation.jsonl, test.jsonl and report.json.

    Returns:
        The number of rows on each side.

    Raises:
        NoRows: nothing is left.
        EmptySide: a side that has a share got no row.
        BrokenFile, BadRow, BadQuestionTemplate: as named; nothing is written.
    """
    account = Account(job.rows.bad_rows)
    with tempfile.TemporaryFile(dir=output.parent) as file:
        rows: list[Ready] = []
        for part in format_source(folder, job, rows_of, account, workers):
            rows += ready_rows(part, file.tell())
            file.write(part.lines.content)
        file.flush()
        return _write(rows, file, job, output, account)


def _write(rows: list[Ready], file: IO[bytes], job: ImportJob, output: Path, account: Account) -> dict[str, int]:
    """Split the rows of which the lines are in ``file``, and write them in the order of their digests."""
    sides, figures = split_rows(rows, job.rows.split, account)
    if not any(sides.values()):
        raise NoRows(job.source, account.dropped)
    for side in SIDES:
        if not sides[side] and getattr(job.rows.split, side):
            raise EmptySide(job.source, side, figures["clusters"])
    output.mkdir()
    categories: dict[str, dict[str, int]] = {}
    for side in SIDES:
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as lines,
            (output / f"{side}.jsonl").open("wb") as made,
        ):
            made.writelines(lines[row.start : row.end] for row in sides[side])
        categories[side] = dict(Counter(row.category for row in sides[side]))
    counts = {side: len(sides[side]) for side in SIDES}
    write_json(output / "report.json", {**account.report(), "rows": counts, "categories": categories, "split": figures})
    return counts
