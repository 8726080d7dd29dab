"""Pieces of a source, formatted, with what the split needs.

Any number of processes make the same parts. A piece in which nothing needs a second look goes the quick way; all others
row by row, so that errors and counts are those of a reading from the first line to the last.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from tapeout.config.imported import ImportJob, PromptResponse
from tapeout.data.instructions.import_report import Account
from tapeout.data.instructions.pieces import Piece, pieces_of
from tapeout.data.instructions.plain import Lines, plain_rows
from tapeout.data.instructions.question_clusters import BANDS, Keys, keys_of
from tapeout.data.instructions.reading import Record, json_lines, read_file
from tapeout.data.instructions.row import Ready, Row
from tapeout.data.io.names import readable
from tapeout.data.io.parallel import in_order

Format = Callable[[Iterator[Record], ImportJob, Account], Iterator[Row]]
"""Rows of some records."""


class Joined(NamedTuple):
    """Many byte strings as one, which goes from process to process at once."""

    content: bytes
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, items: list[bytes]) -> "Joined":
        """Join ``items``."""
        return cls(b"".join(items), np.cumsum(list(map(len, items)), dtype=np.int64))

    def apart(self) -> list[bytes]:
        """The byte strings again."""
        return [self.content[start:end] for start, end in pairwise([0, *self.ends.tolist()])]


@dataclass
class Part:
    """Rows of a piece.

    Attributes:
        account: what was read and left out.
        lines: as they are written.
        digests: of the rows, each of 64 digits.
        names: of the categories.
        categories: place of each row's in ``names``.
        groups: of the rows; none if they are the digests.
        questions: as JSON.
        places: of the answers; none if all are 0.
        keys: of the questions, [rows, bands]; no rows if they are not wanted.
    """

    account: Account
    lines: Joined
    digests: str
    names: list[str]
    categories: NDArray[np.uint32]
    groups: list[str]
    questions: Joined
    places: list[int]
    keys: Keys


def format_piece(piece: Piece, folder: Path, job: ImportJob, rows_of: Format) -> Part:
    """Format a piece of the source in ``folder``.

    Raises:
        BrokenFile, BadRow, BadQuestionTemplate: as named.
    """
    account = Account(job.rows.bad_rows)
    written: list[bytes]
    groups: list[str] = []
    answers: list[int] = []
    quick = _quick(piece, folder, job, account)
    if quick:
        written, digests, categories, asked = quick
    else:
        rows = list(rows_of(_records(piece, folder, job, account), job, account))
        sort = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
        written = [orjson.dumps(row.line(job.source, job.licence), option=sort) for row in rows]
        digests, categories = [row.digest for row in rows], [row.category for row in rows]
        groups, answers = [row.group for row in rows], [row.place for row in rows]
        asked = [orjson.dumps(row.question)[1:-1] for row in rows]
    keys = np.empty((0, BANDS), dtype=np.uint64)
    if job.rows.split.near_duplicates < 1 and asked:
        keys = np.stack([keys_of(orjson.loads(b'"%b"' % each)) for each in asked])
    numbers = {name: number for number, name in enumerate(dict.fromkeys(categories))}
    kinds = np.fromiter(map(numbers.__getitem__, categories), dtype=np.uint32, count=len(categories))
    lines, questions = Joined.of(written), Joined.of(asked)
    return Part(account, lines, "".join(digests), list(numbers), kinds, groups, questions, answers, keys)


def _quick(piece: Piece, folder: Path, job: ImportJob, account: Account) -> Lines | None:
    options = job.rows
    if piece.start is None or not isinstance(options, PromptResponse) or piece.size > options.longest_row:
        return None
    with (folder / piece.name).open("rb") as stream:
        stream.seek(piece.start)
        content = stream.read(piece.size)
    content = content if content.endswith(b"\n") else content + b"\n"
    return plain_rows(content, options, (job.source, job.licence), account)


def _records(piece: Piece, folder: Path, job: ImportJob, account: Account) -> Iterator[Record]:
    path = folder / piece.name
    if piece.start is None:
        yield from read_file(path, readable(piece.name), job.rows, account)
    else:
        with path.open("rb") as stream:
            stream.seek(piece.start)
            yield from json_lines(
                stream, readable(piece.name), job.rows, account, piece.before, piece.start + piece.size
            )


def format_source(folder: Path, job: ImportJob, rows_of: Format, account: Account, workers: int) -> Iterator[Part]:
    """Format all pieces of a source; yield the parts in their order.

    Raises:
        BrokenFile, BadRow, BadQuestionTemplate: as named.
    """
    make = partial(format_piece, folder=folder, job=job, rows_of=rows_of)
    for part in in_order(make, pieces_of(folder, job.rows, account), workers, forked=True):
        account.add(part.account)
        yield part


def ready_rows(part: Part, before: int) -> Iterator[Ready]:
    """Yield the rows of a part of which the lines stand behind ``before`` bytes of others."""
    count = len(part.categories)
    keys = part.keys if len(part.keys) else np.empty((count, 0), dtype=np.uint64)
    digests = [part.digests[64 * number : 64 * number + 64] for number in range(count)]
    categories = map(part.names.__getitem__, part.categories.tolist())
    places = pairwise([0, *part.lines.ends.tolist()])
    groups, answers = part.groups or digests, part.places or [0] * count
    for digest, category, group, asked, own, answer, (start, end) in zip(
        digests, categories, groups, part.questions.apart(), keys, answers, places, strict=True
    ):
        yield Ready(category, group, digest, asked, own, answer, before + start, before + end)
