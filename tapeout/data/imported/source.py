"""An imported source, from its folder to the artifact."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tapeout.config.imported import SIDES, ChatTrees, ImportJob, Messages, PromptResponse, SelfInstruct, ShareGpt, Squad
from tapeout.data.imported.account import Account, EmptySide, NoRows
from tapeout.data.imported.prompts import prompt_rows, task_rows
from tapeout.data.imported.reading import read_records
from tapeout.data.imported.row import Row
from tapeout.data.imported.split import split_rows
from tapeout.data.imported.squad import squad_rows
from tapeout.data.imported.trees import tree_rows
from tapeout.data.imported.turns import message_rows
from tapeout.data.jsonl import write_json, write_jsonl


def read_rows(folder: Path, job: ImportJob, account: Account) -> Iterator[Row]:
    """Yield the rows of a source in its format.

    Raises:
        BrokenFile, BadRow, BadQuestionTemplate: as named.
    """
    options = job.rows
    records = read_records(folder, options, account)
    match options:
        case PromptResponse():
            yield from prompt_rows(records, options, account)
        case SelfInstruct():
            yield from task_rows(records, options, account)
        case Squad():
            yield from squad_rows(records, options, job.template or "", account)
        case ChatTrees():
            yield from tree_rows(records, options, account)
        case Messages() | ShareGpt():
            yield from message_rows(records, options, account)


def import_source(folder: Path, job: ImportJob, output: Path) -> dict[str, int]:
    """Make the folder ``output`` with train.jsonl, validation.jsonl, test.jsonl and report.json.

    Returns:
        The number of rows on each side.

    Raises:
        NoRows: nothing is left.
        EmptySide: a side that has a share got no row.
        BrokenFile, BadRow, BadQuestionTemplate: as named; nothing is written.
    """
    account = Account(job.rows.bad_rows)
    sides, figures = split_rows(read_rows(folder, job, account), job.rows.split, account)
    if not any(sides.values()):
        raise NoRows(job.source, account.dropped)
    for side in SIDES:
        if not sides[side] and getattr(job.rows.split, side):
            raise EmptySide(job.source, side, figures["clusters"])
    output.mkdir()
    categories: dict[str, dict[str, int]] = {}
    for side in SIDES:
        write_jsonl(output / f"{side}.jsonl", (row.line(job.source, job.licence) for row in sides[side]))
        categories[side] = dict(Counter(row.category for row in sides[side]))
    counts = {side: len(sides[side]) for side in SIDES}
    write_json(output / "report.json", {**account.report(), "rows": counts, "categories": categories, "split": figures})
    return counts
