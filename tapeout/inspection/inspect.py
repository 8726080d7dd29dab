"""One set, looked at: measures.json, overlaps.jsonl and samples.jsonl."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tapeout.config.inspection import InspectJob
from tapeout.data.jsonl import read_jsonl, write_json, write_jsonl
from tapeout.inspection.contamination import lines, search
from tapeout.inspection.index import build
from tapeout.inspection.leaks import leaks
from tapeout.inspection.measures import Languages, measure
from tapeout.inspection.rows import rows_of, sides_of
from tapeout.inspection.tokens import Encoded, Tokens

MOST = 400
"""Tokens of a sampled row that are shown."""


def inspect(
    rows: Path, encoded: Path | None, tests: Sequence[Path], model: Path, job: InspectJob, output: Path, workers: int
) -> None:
    """Make the folder ``output``.

    Args:
        rows: folder of the set.
        encoded: the same as token ids, where an imported source is one.
        tests: files of the test sets, one for each of ``job.tests``.
        model: SentencePiece file of the extended tokenizer.
        job: how to look.
        output: is made.
        workers: processes.
    """
    files = sides_of(rows)
    tokens = Tokens(model, job, encoded)
    languages = Languages()
    sides = {side: measure(tokens.shapes(side, rows_of(file)), languages).report() for side, file in files.items()}
    index = build(job.tests, tests, job)
    found = search(files["train"], index, job, workers)
    sizes: dict[str, dict[str, int]] = {}
    for row in index.rows:
        size = sizes.setdefault(row.set, {"rows": 0, "too short to look for": 0, "mostly form": 0})
        size["rows"] += 1
        size["too short to look for"] += int(row.short or not row.runs)
        size["mostly form"] += int(row.form)
    output.mkdir()
    write_json(
        output / "measures.json",
        {"set": job.name, "sides": sides, "leaks": leaks(files), "looked for": sizes},
    )
    write_jsonl(output / "overlaps.jsonl", lines(found, index))
    write_jsonl(output / "samples.jsonl", samples(files["train"], encoded, tokens))


def samples(train: Path, encoded: Path | None, tokens: Tokens) -> Iterator[dict[str, Any]]:
    """Training rows token by token: of each category in turn, in an order that only their digests decide."""
    places: dict[str, list[tuple[str, str]]] = {}
    for row in rows_of(train):
        places.setdefault(row.get("category", ""), []).append((order(row["digest"]), row["digest"]))
    ranked = sorted(
        (number, category, digest)
        for category, members in places.items()
        for number, (_, digest) in enumerate(sorted(members))
    )
    chosen = [digest for _, _, digest in ranked[: tokens.job.samples]]
    known = masks(encoded, chosen)
    wanted = set(chosen)
    found: dict[str, dict[str, Any]] = {}
    for row in rows_of(train):
        if row["digest"] in wanted:
            found.setdefault(row["digest"], row)
    for digest in chosen:
        row = found[digest]
        if encoded is not None and digest not in known:
            continue  # left out by the step that encodes, and counted there
        yield {
            "digest": digest,
            "source": row["source"],
            "category": row.get("category", ""),
            "pieces": tokens.pieces(row, known.get(digest), MOST),
        }


def masks(encoded: Path | None, chosen: Sequence[str]) -> dict[str, Encoded]:
    """Ids and masks of some rows of an imported source."""
    if encoded is None:
        return {}
    rows = read_jsonl(encoded / "train.jsonl", ("digest",))
    return {row["digest"]: (row["ids"], row["mask"]) for row in rows if row["digest"] in set(chosen)}


def order(digest: str) -> str:
    """A hash of a digest: independent of splits that were made by digest."""
    return hashlib.sha256(b"sample\n" + digest.encode()).hexdigest()
