"""How much memory the steps of a large corpus take: a made-up corpus goes through all of them, and is then forgotten.

``python -m benchmarks.data_memory --gigabytes 5 --model tokenizer.model --folder NEW``, in the corpus environment.
What counts is the largest sum of the resident memory of all processes of a step, seen ten times a second; pages that
processes share count in each. Of the shards, ``--steps`` go through the steps of a shard: the others are alike.
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from benchmarks.tables import table, write
from tapeout.config.pretraining import DocumentsJob, NearDuplicates, Quality, Scrub, ShardJob, shard_name
from tapeout.data.near import write_near
from tapeout.data.shard import write_shard
from tapeout.data.sharding import write_shards
from tapeout.tokenizer.tokenized import write_tokens

PAGE = Path(__file__).parent / "data_memory.md"
WORDS = 20_000
SHARDS = 200


def make(path: Path, size: int) -> int:
    """Write about ``size`` bytes of documents of 1 to 20 kB, no two alike; return their number."""
    draw = random.Random(1)
    words = [
        f"{draw.choice(['reg', 'net', 'clk', 'the', 'cache', 'bus'])}{draw.randrange(10**4)}" for _ in range(WORDS)
    ]
    lines = [" ".join(draw.choices(words, k=12)) for _ in range(200_000)]
    written = count = 0
    with path.open("wb") as stream:
        while written < size:
            text = "\n".join(draw.choices(lines, k=draw.randrange(10, 200)))
            written += stream.write(orjson.dumps({"text": text}) + b"\n")
            count += 1
    return count


def resident(root: int) -> int:
    """Bytes of a process and of all below it."""
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            parents[int(place.name)], pages[int(place.name)] = int(fields[1]), int(fields[21])
    found, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        found += pages.get(process, 0)
        waiting += [child for child, parent in parents.items() if parent == process]
    return found * os.sysconf("SC_PAGE_SIZE")


def watched(step: Callable[..., None], *arguments: object) -> tuple[float, int]:
    """Run a step in a process of its own: seconds, and the most bytes."""
    started = time.monotonic()
    process = multiprocessing.get_context("spawn").Process(target=step, args=arguments)
    process.start()
    most = 0
    while process.is_alive():
        most = max(most, resident(process.pid or 0))
        process.join(0.1)
    if process.exitcode:
        raise SystemExit(f"{step.__name__} failed")
    return time.monotonic() - started, most


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=5)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="does not exist yet; is removed")
    parser.add_argument("--steps", type=int, default=4, help="shards that are cleaned and tokenized")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    folder, workers = options.folder, options.workers
    (folder / "source").mkdir(parents=True)
    count = make(folder / "source" / "rows.jsonl", int(options.gigabytes * 1e9))
    near = NearDuplicates()
    job = DocumentsJob(source="made", component="made", licence="none", licences=(), shards=SHARDS)
    shard = ShardJob(quality=Quality(), scrub=Scrub(emails=True, secrets=True), near_duplicates=near)
    names = [shard_name(number) for number in range(options.steps)]
    (folder / "shards").mkdir()
    (folder / "tokens").mkdir()
    found = {"documents (all)": [watched(write_shards, folder / "source", folder / "documents", job, workers)]}
    found["shard (each)"] = [
        watched(write_shard, [folder / "documents" / f"{name}.jsonl"], folder / "shards" / name, shard, workers)
        for name in names
    ]
    signatures = [folder / "shards" / name / "signatures" for name in names]
    found[f"near ({options.steps} shards)"] = [watched(write_near, signatures, names, folder / "near", near)]
    found["tokens (each)"] = [
        watched(
            write_tokens,
            folder / "shards" / name / "documents.jsonl",
            folder / "near" / f"{name}.jsonl",
            options.model,
            folder / "tokens" / name,
            True,
            workers,
        )
        for name in names
    ]
    gone = json.loads((folder / "near" / "report.json").read_bytes())
    shutil.rmtree(folder)
    rows = [
        [name, f"{max(seconds for seconds, _ in each):.1f}", f"{max(most for _, most in each) / 1e6:,.0f}"]
        for name, each in found.items()
    ]
    paragraphs = [
        "# Memory of the steps of a large corpus",
        f"Written by `python -m benchmarks.data_memory`. {options.gigabytes:g} GB of made-up JSON Lines, {count:,} "
        f"documents, {SHARDS} shards of which {options.steps} were cleaned and tokenized ({gone['documents']:,} "
        f"documents); {workers} processes a step. Resident memory of all processes of a step, the largest sum seen.",
        table(["step", "seconds", "MB"], rows),
        "The step `documents` reads as a stream. A shard's index of digests and its signatures grow with the shard, so "
        "that the number of shards decides; the comparison of signatures holds some 150 bytes a document and reads the "
        "signatures themselves from a file.",
    ]
    write(PAGE, paragraphs, {"gigabytes": options.gigabytes, "documents": count, "steps": found})


if __name__ == "__main__":
    main()
