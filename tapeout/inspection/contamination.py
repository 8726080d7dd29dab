"""Contamination of an evaluation: the share of each test unit's n-grams that occur in the training text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tapeout.config.inspection import ContaminationSettings
from tapeout.data.io.jsonl import read_jsonl
from tapeout.inspection.ngram_index import Numbers, index_texts
from tapeout.inspection.overlap import find_overlaps
from tapeout.inspection.rows import text_of

DIGITS = 6
"""Decimal digits of shares."""
FACTS = frozenset({"digest", "source", "path", "licence", "category"})
"""Fields of a row that are about its text."""


def search(
    texts: Mapping[str, str], training: Sequence[Path], job: ContaminationSettings, workers: int
) -> dict[str, Any]:
    """Return the share of each unit, and the best match of those that the training text contains.

    Shares unite all training sets. A unit that is shorter than an n-gram overlaps only with an equal row.

    Args:
        texts: text of each unit by its digest.
        training: files of training rows, in the order of ``job.training``.
        job: settings of the search.
        workers: number of processes; the result does not depend on it.
    """
    index = index_texts({"test": texts}, job)
    positions: dict[int, Numbers] = {}
    best: dict[int, tuple[int, str, str, dict[str, str]]] = {}
    for name, path in zip(job.training, training, strict=True) if texts else ():
        for number, overlap in find_overlaps(path, index, job, workers).items():
            match = overlap.best
            positions[number] = np.union1d(positions.get(number, overlap.positions), overlap.positions)
            found = {"set": name, "digest": match.digest, "source": match.source, "location": match.location}
            candidate = (-match.shared, match.digest, name, found)
            best[number] = min(best.get(number, candidate), candidate, key=lambda entry: entry[:3])
    units = {}
    for number, row in enumerate(index.rows):
        share = len(positions[number]) / row.ngrams if number in positions else 0.0
        units[row.digest] = {
            "share": round(share, DIGITS),
            "short": row.short or not row.ngrams,
            "best": best[number][3] if share >= job.min_overlap else None,
        }
    return {"ngram_words": job.ngram_words, "min_overlap": job.min_overlap, "training": [*job.training], "units": units}


def unit_texts(files: Iterable[Path]) -> dict[str, str]:
    """Return digest and text of the rows of JSON Lines files; other files, and rows without a digest, have none."""
    return {
        row["digest"]: text_of_unit(row)
        for path in files
        if path.suffix == ".jsonl" and path.is_file()
        for row in read_jsonl(path)
        if isinstance(row.get("digest"), str)
    }


def text_of_unit(row: Mapping[str, Any]) -> str:
    """Return the text of a document, question or conversation; of any other row all of its texts, by field."""
    if "text" in row or "conversations" in row or ("input" in row and "output" in row):
        return text_of(row)
    return "\n".join(_strings({key: value for key, value in row.items() if key not in FACTS}))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key in sorted(value):
            yield from _strings(value[key])
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
