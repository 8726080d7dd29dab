"""Read the lines of a JSONL file in any order without holding its text in memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tapeout.data.io.jsonl import parse_row, read_jsonl


class IndexedLines:
    """Rows of a JSONL file by index; 8 bytes per line are in memory."""

    def __init__(self, path: Path, fields: tuple[str, ...]) -> None:
        """Check every line, and note where it begins.

        Args:
            path: the file.
            fields: fields that each row must have, with a string as value.

        Raises:
            BadRow: a line is not a JSON object, or lacks one of ``fields``.
        """
        self.path, self.fields = path, fields
        self.count = sum(1 for _ in read_jsonl(path, fields))
        with path.open("rb") as stream:
            sizes = np.fromiter((len(line) for line in stream), dtype=np.int64)
        self.starts = np.cumsum(sizes) - sizes

    def __len__(self) -> int:
        """Return the number of rows; blank lines at the end are none."""
        return self.count

    def read(self, indices: Iterable[int]) -> Iterator[dict[str, Any]]:
        """Yield the rows at some indices, in the order of these."""
        with self.path.open("rb") as stream:
            for index in indices:
                stream.seek(int(self.starts[index]))
                yield parse_row(self.path, index + 1, stream.readline(), self.fields)
