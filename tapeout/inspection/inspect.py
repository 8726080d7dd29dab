"""One set, looked at: measures.json, overlaps.jsonl and samples.jsonl."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tapeout.config.inspection import InspectJob
from tapeout.data.io.jsonl import write_json, write_jsonl
from tapeout.inspection.contamination import lines
from tapeout.inspection.index import build
from tapeout.inspection.leaks import leaks
from tapeout.inspection.rows import sides_of
from tapeout.inspection.scan import chosen, lines_of, look_at
from tapeout.inspection.tokens import Tokens

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
    index = build(job.tests, tests, job)
    found = look_at(files, encoded, index, model, job, workers)
    sizes: dict[str, dict[str, int]] = {}
    for row in index.rows:
        size = sizes.setdefault(row.set, {"rows": 0, "too short to look for": 0, "mostly form": 0})
        size["rows"] += 1
        size["too short to look for"] += int(row.short or not row.runs)
        size["mostly form"] += int(row.form)
    sides = {name: side.report() for name, side in found.sides.items()}
    output.mkdir()
    write_json(
        output / "measures.json",
        {"set": job.name, "sides": sides, "leaks": leaks(files), "looked for": sizes},
    )
    write_jsonl(output / "overlaps.jsonl", lines(found.held, index))
    shown = chosen(found.candidates, job.samples)
    write_jsonl(output / "samples.jsonl", samples(files["train"], encoded, shown, Tokens(model, job)))


def samples(train: Path, encoded: Path | None, shown: list[str], tokens: Tokens) -> Iterator[dict[str, Any]]:
    """Training rows token by token, in the order of ``shown``."""
    rows = lines_of(train, shown)
    masks = lines_of(encoded / "train.jsonl", shown) if encoded else {}
    for digest in shown:
        row, known = rows[digest], masks.get(digest)
        yield {
            "digest": digest,
            "source": row["source"],
            "category": row.get("category", ""),
            "pieces": tokens.pieces(row, (known["ids"], known["mask"]) if known else None, MOST),
        }
