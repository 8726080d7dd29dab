"""An instruction data set, from the folders of its sources to the artifact ``instructions/<set>``.

Rows are written to a temporary file as they are made; only what the split depends on stays in memory.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import orjson

from tapeout.config.instructions import SPLITS, InstructionSetJob
from tapeout.data.errors import NotEnoughData
from tapeout.data.instructions.format import load_format
from tapeout.data.instructions.question_clusters import Keys, keys_of_all
from tapeout.data.instructions.reading import read_records
from tapeout.data.instructions.report import ImportReport
from tapeout.data.instructions.row import Row
from tapeout.data.instructions.split import StoredRow, split_rows
from tapeout.data.io.jsonl import write_json
from tapeout.data.io.ngrams import unicode_form
from tapeout.data.io.parallel import in_order

BATCH = 1024
"""Questions whose keys one process computes at a time."""


def rows_of(folders: Mapping[str, Path], job: InstructionSetJob, report: ImportReport) -> Iterator[Row]:
    """Yield the rows of a set in its format, one by one.

    Args:
        folders: folder of each source, by its name.
        job: the set.
        report: counts, which are updated.

    Raises:
        UnreadableFile, BadRow: as ``read_records``, and errors of the format.
    """
    module = load_format(job.options.format)
    read = getattr(module, "read", read_records)
    yield from module.rows(read(folders, job.options, report), job.options, report)


def write_set(folders: Mapping[str, Path], job: InstructionSetJob, output: Path, workers: int = 1) -> dict[str, int]:
    """Write the new folder ``output`` with train.jsonl, validation.jsonl, test.jsonl and report.json.

    Args:
        folders: folder of each source, by its name.
        job: the set.
        output: folder to make.
        workers: processes.

    Returns:
        The number of rows in each split.

    Raises:
        NotEnoughData: no row is left, or a split whose fraction is not 0 has none.
        UnreadableFile, BadRow: as ``rows_of``; nothing is written.
    """
    report = ImportReport(job.options.bad_rows)
    with tempfile.TemporaryFile(dir=output.parent) as lines:
        stored = []
        for row in rows_of(folders, job, report):
            line = orjson.dumps(
                row.as_json(job.licences[row.source]), option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
            )
            answer_start = (row.content.get("answer") or [0])[0]
            position = answer_start, lines.tell(), len(line)
            stored.append(
                StoredRow(row.category, unicode_form(row.group), row.question, row.digest, row.source, *position)
            )
            lines.write(line)
        keys = _keys(stored, workers) if job.options.split.near_duplicates < 1 else {}
        splits, figures = split_rows(stored, keys, job.options.split, job.options.held_out, report)
        _check(splits, job, report, figures["clusters"])
        output.mkdir()
        for name in SPLITS:
            _write(splits[name], lines, output / f"{name}.jsonl")
    counts = {name: len(splits[name]) for name in SPLITS}
    categories = {name: dict(Counter(row.category for row in splits[name])) for name in SPLITS}
    write_json(output / "report.json", {**report.as_json(), "rows": counts, "categories": categories, "split": figures})
    return counts


def _keys(rows: Sequence[StoredRow], workers: int) -> dict[str, Keys]:
    """Return the MinHash keys of every question."""
    questions = list(dict.fromkeys(row.question for row in rows))
    batches = [questions[start : start + BATCH] for start in range(0, len(questions), BATCH)]
    computed = in_order(keys_of_all, batches, workers if len(batches) >= 2 * workers else 1)
    return dict(zip(questions, (own for batch in computed for own in batch), strict=True))


def _check(splits: Mapping[str, Sequence[object]], job: InstructionSetJob, report: ImportReport, clusters: int) -> None:
    if not any(splits.values()):
        raise NotEnoughData(
            f"The set {job.name} has no rows (dropped: {report.summary() or 'its files are empty'}).",
            f"Look at the files of its sources, and at its options under instructions.sets.{job.name}.",
        )
    for name in SPLITS:
        if not splits[name] and getattr(job.options.split, name):
            or_empty = "" if name == "train" else f", or set split: {{{name}: 0}} if that one is to be empty"
            exact = job.options.split.counts == "exact"
            fix = "Add rows in other groups" if exact else "Set split: {counts: exact} for it, which suits small sets"
            groups = "1 group" if clusters == 1 else f"{clusters} groups"
            raise NotEnoughData(
                f"The set {job.name} has {groups} of rows (each stays in one split), and none of them came into the "
                f"{name} split.",
                f"{fix}{or_empty}.",
            )


def _write(rows: Sequence[StoredRow], lines: IO[bytes], path: Path) -> None:
    with path.open("wb") as stream:
        for row in rows:
            lines.seek(row.offset)
            stream.write(lines.read(row.size))
