"""Lines of JSON that are built alike, cut into the JSON of their fields without being parsed.

Files of rows mostly have the same keys in the same order on every line. The quotation marks of all lines are found at
once; a line is framed if all that stands between its values is what stands between those of the first line, and its
values are JSON exactly as orjson would write them, and such that the white-space rule has nothing to do. The others are
named, for those who parse.
"""

from typing import NamedTuple

import numpy as np
import orjson
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

QUOTE, BACKSLASH, FEED, BLANK, LETTER_N, LETTER_T = b'"\\\n nt'

Places = NDArray[np.int64]


class Framed(NamedTuple):
    """Lines that are built alike.

    Attributes:
        lines: numbers of the lines, from 0.
        fields: of each key the values, one a line, as JSON without its quotation marks.
        rest: the other lines, by their numbers, without line feeds.
    """

    lines: list[int]
    fields: dict[str, list[bytes]]
    rest: dict[int, bytes]


def framed(content: bytes) -> Framed:
    """Sort out the lines of ``content``, which ends with a line feed."""
    codes = np.frombuffer(content, dtype=np.uint8)
    special: Places = np.flatnonzero((codes == QUOTE) | (codes == BACKSLASH) | (codes < BLANK) | (codes > 126))
    kinds = codes[special]
    feeds: Places = special[kinds == FEED]
    starts = np.concatenate([[0], feeds[:-1] + 1])
    keys = _keys(content[: feeds[0]])
    bad = np.ones(len(feeds), dtype=np.bool_)
    if not keys:
        return Framed([], {}, _cut(content, starts, feeds, bad))
    escapes: Places = special[kinds == BACKSLASH]
    strange = special[(kinds != QUOTE) & (kinds != BACKSLASH) & (kinds != FEED)]
    escaped = codes[escapes + 1]
    breaks = escapes[escaped == LETTER_N]
    wrong = [
        strange,
        # also a backslash behind a backslash: whether the second one is escaped is not asked here
        escapes[(escaped != LETTER_N) & (escaped != QUOTE) & (escaped != LETTER_T)],
        breaks[_blank_before(codes, breaks)],
    ]
    marks: Places = special[kinds == QUOTE]
    marks = marks[codes[marks - 1] != BACKSLASH]
    bad[:] = False
    bad[np.searchsorted(feeds, np.concatenate(wrong))] = True
    counts = np.diff(np.searchsorted(marks, feeds), prepend=0)
    bad |= counts != 4 * len(keys)
    marks = marks[np.repeat(~bad, counts)]
    good = np.flatnonzero(~bad)
    if not len(good) or (good[0] and _keys(content[starts[good[0]] : feeds[good[0]]]) != keys):
        return Framed([], {}, _cut(content, starts, feeds, np.ones_like(bad)))
    opens = marks.reshape(-1, len(keys), 4)[:, :, 2] + 1
    closes = marks.reshape(-1, len(keys), 4)[:, :, 3]
    fits = _same_frames(codes, starts[good], opens, closes, feeds[good])
    first, last = codes[opens], closes - 1
    begins = (first == BLANK) | (
        (first == BACKSLASH) & ((codes[opens + 1] == LETTER_N) | (codes[opens + 1] == LETTER_T))
    )
    fits &= ~(begins | (codes[last] == BLANK) | _white(codes, last)).any(axis=1)
    bad[good[~fits]] = True
    fields = {
        key: list(map(content.__getitem__, map(slice, opens[fits, number].tolist(), closes[fits, number].tolist())))
        for number, key in enumerate(keys)
    }
    return Framed(good[fits].tolist(), fields, _cut(content, starts, feeds, bad))


def _cut(content: bytes, starts: Places, ends: Places, wanted: NDArray[np.bool_]) -> dict[int, bytes]:
    """Some lines, by their numbers."""
    return {number: content[starts[number] : ends[number]] for number in np.flatnonzero(wanted).tolist()}


def _keys(line: bytes) -> list[str]:
    """The keys of an object of texts, none of which stands twice; none if the line is anything else."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return []
    plain = isinstance(row, dict) and {*map(type, row.values())} == {str} and b"\\\\" not in line
    return list(row) if plain and line.count(b'"') - line.count(b'\\"') == 4 * len(row) else []


def _white(codes: NDArray[np.uint8], places: Places) -> NDArray[np.bool_]:
    """Whether the second character of an escape stands there, of a line feed or a tab."""
    return ((codes[places] == LETTER_N) | (codes[places] == LETTER_T)) & (codes[places - 1] == BACKSLASH)


def _blank_before(codes: NDArray[np.uint8], places: Places) -> NDArray[np.bool_]:
    """Whether a blank or a tab stands before each of some places."""
    return (codes[places - 1] == BLANK) | ((codes[places - 1] == LETTER_T) & (codes[places - 2] == BACKSLASH))


def _same_frames(
    codes: NDArray[np.uint8], starts: Places, opens: Places, closes: Places, ends: Places
) -> NDArray[np.bool_]:
    """Which lines have between their values what the first one has."""
    fits = np.ones(len(starts), dtype=np.bool_)
    befores = np.column_stack([starts, closes])
    afters = np.column_stack([opens, ends])
    for number in range(befores.shape[1]):
        before, after = befores[:, number], afters[:, number]
        width = int(after[0] - before[0])
        fits &= after - before == width
        found = sliding_window_view(codes, width)[np.minimum(before, len(codes) - width)]
        fits &= (found == codes[before[0] : after[0]]).all(axis=1)
    return fits
