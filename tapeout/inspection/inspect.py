"""Inspection of one set: measures.json, overlaps.jsonl and samples.jsonl."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from tapeout.config.inspection import InspectJob
from tapeout.data.io.jsonl import write_json, write_jsonl
from tapeout.encoder.interface import Encoder
from tapeout.encoder.load import load_encoder
from tapeout.inspection.ngram_index import build
from tapeout.inspection.overlap import overlap_lines
from tapeout.inspection.rows import split_files
from tapeout.inspection.scan import choose_samples, scan_splits
from tapeout.inspection.split_leakage import count_leaks

MAX_TOKENS = 400
"""Tokens of a sampled row that are shown."""


def inspect(
    rows: Path,
    encoded: Path | None,
    tests: Sequence[Path],
    tokenizer: Path,
    job: InspectJob,
    output: Path,
    workers: int,
) -> None:
    """Inspect a set, encoded or not, and write the new folder ``output``; ``tests`` are the files of ``job.tests``."""
    files = split_files(rows)
    index = build(job.tests, tests, job)
    result = scan_splits(files, encoded, index, tokenizer, job, workers)
    test_sets: dict[str, dict[str, int]] = {}
    for row in index.rows:
        size = test_sets.setdefault(row.set, {"rows": 0, "too_short": 0, "boilerplate": 0})
        size["rows"] += 1
        size["too_short"] += int(row.short or not row.ngrams)
        size["boilerplate"] += int(row.boilerplate)
    splits = {name: counts.as_json() for name, counts in result.splits.items()}
    output.mkdir()
    write_json(
        output / "measures.json",
        {"set": job.name, "splits": splits, "leaks": count_leaks(files), "test_sets": test_sets},
    )
    write_jsonl(output / "overlaps.jsonl", overlap_lines(result.overlaps, index))
    digests = choose_samples(result.candidates, job.samples)
    write_jsonl(output / "samples.jsonl", samples(files["train"], encoded, digests, load_encoder(tokenizer)))


def samples(train: Path, encoded: Path | None, digests: list[str], encoder: Encoder) -> Iterator[dict[str, Any]]:
    """Yield training rows token by token, each token with its bit of the loss mask, in the order of ``digests``."""
    rows = rows_with(train, digests)
    known = rows_with(encoded / "train.jsonl", digests) if encoded else {}
    for digest in digests:
        row = rows[digest]
        if digest in known:
            ids, mask = known[digest]["ids"][:MAX_TOKENS], known[digest]["mask"][:MAX_TOKENS]
        else:
            ids = encoder.encode(row["text"][: 8 * MAX_TOKENS])[:MAX_TOKENS]
            mask = [1] * len(ids)
        yield {
            "digest": digest,
            "source": row["source"],
            "category": row.get("category", ""),
            "pieces": [(piece_text(encoder, token), bit) for token, bit in zip(ids, mask, strict=True)],
        }


def piece_text(encoder: Encoder, token: int) -> str:
    """Return the text of a token; a part of a character is written as its bytes, e.g. ``<E2>``."""
    data = encoder.id_to_bytes(token)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return f"<{data.hex(' ').upper()}>"


def rows_with(path: Path, digests: list[str]) -> dict[str, dict[str, Any]]:
    """Return the first row of each digest; only lines that contain one of them are parsed."""
    wanted = [digest.encode() for digest in digests]
    rows: dict[str, dict[str, Any]] = {}
    with path.open("rb") as stream:
        for line in stream:
            if any(digest in line for digest in wanted):
                row = orjson.loads(line)
                if row["digest"] in digests:
                    rows.setdefault(row["digest"], row)
    return rows
