"""Measure memory and time of all steps of a large synthetic corpus, shard by shard.

Run ``python -m benchmarks.data_memory --gigabytes 5 --model tokenizer.model --folder NEW`` in the corpus environment.
Each step of a shard is a separate process, as in the graph, with as many at a time as there are processors. Memory is
the resident memory of all processes of a step, summed ten times a second; shared pages count in each process. The
folder is removed at the end.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from benchmarks.made_up import write_corpus
from benchmarks.tables import table, write
from tapeout.config.pretraining import BlendJob, DocumentsJob, NearDuplicates, Quality, Scrub, ShardJob, shard_name
from tapeout.data.io.jsonl import write_json
from tapeout.data.shards.blend import blend
from tapeout.data.shards.documents import write_documents
from tapeout.data.shards.near_duplicates import write_near
from tapeout.data.shards.shard import write_shard
from tapeout.data.shards.tokens import write_tokens

PAGE = Path(__file__).parent / "data_memory.md"
PAUSE = 0.1
SOURCE = "made"
WIDE = 10

Watched = tuple[float, int]
"""Seconds and peak bytes of a step."""


def resident() -> tuple[dict[int, int], dict[int, list[int]]]:
    """Return the resident bytes of every process of the machine, and the children of each."""
    pages: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            pages[int(entry.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    return pages, children


class Watch(threading.Thread):
    """Thread that samples the memory of processes and all their descendants until it is stopped."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak: dict[int, int] = {}
        """Peak bytes of each watched process with its descendants."""
        self.together = 0
        """Peak bytes of all watched processes together."""
        self.over = threading.Event()

    def run(self) -> None:
        """Sample the memory until ``over`` is set."""
        while not self.over.wait(PAUSE):
            pages, children = resident()
            sums = {root: _below(root, pages, children) for root in list(self.peak)}
            for root, size in sums.items():
                self.peak[root] = max(self.peak[root], size)
            self.together = max(self.together, sum(sums.values()))


def _below(root: int, pages: dict[int, int], children: dict[int, list[int]]) -> int:
    total, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        total += pages.get(process, 0)
        waiting += children.get(process, [])
    return total


def watched(watch: Watch, step: Callable[..., object], *arguments: object) -> Watched:
    """Run a step in a separate process."""
    started = time.monotonic()
    process = multiprocessing.get_context("spawn").Process(target=step, args=arguments)
    process.start()
    identity = process.pid or 0
    watch.peak[identity] = 0
    process.join()
    if process.exitcode:
        raise SystemExit(f"{step} failed")
    return time.monotonic() - started, watch.peak[identity]


def write_blend(folders: Sequence[Path], names: Sequence[str], output: Path) -> None:
    """Run the step ``pretraining_blend``."""
    reports = [orjson.loads((folder / "report.json").read_bytes()) for folder in folders]
    write_json(output, blend(reports, BlendJob(weights={SOURCE: 1}, shards=tuple(names))))


def journey(folder: Path, model: Path, shards: int, workers: int, watch: Watch) -> dict[str, list[Watched]]:
    """Run all steps of the corpus in ``folder / "source"``; return the measurements of each."""
    near = NearDuplicates()
    job = DocumentsJob(source=SOURCE, component=SOURCE, licence="none", licences=(), shards=shards)
    cleaning = ShardJob(quality=Quality(), scrub=Scrub(emails=True, secrets=True), near_duplicates=near.minhash)
    names = [shard_name(number) for number in range(shards)]
    for name in ("shards", "tokens"):
        (folder / name).mkdir()
    measured = partial(watched, watch)

    def shard(name: str) -> Watched:
        return measured(write_shard, [folder / "documents" / f"{name}.jsonl"], folder / "shards" / name, cleaning, 1)

    def tokens(name: str) -> Watched:
        documents, dropped = folder / "shards" / name / "documents.jsonl", folder / "near" / f"{name}.jsonl"
        return measured(write_tokens, documents, dropped, model, folder / "tokens" / name, True, 1)

    runs = {"documents": [measured(write_documents, folder / "source", folder / "documents", job, workers)]}
    with ThreadPoolExecutor(workers) as side_by_side:
        runs["shard"] = list(side_by_side.map(shard, names))
        signatures = [folder / "shards" / name / "signatures" for name in names]
        runs["near"] = [measured(write_near, signatures, names, folder / "near", near)]
        runs["tokens"] = list(side_by_side.map(tokens, names))
    # ten shards as one, like a shard of a corpus ten times as large
    several = [folder / "documents" / f"{name}.jsonl" for name in names[:WIDE]]
    runs["shard, ten times as large"] = [measured(write_shard, several, folder / "wide", cleaning, 1)]
    whole = (folder / "wide" / "documents.jsonl", None, model, folder / "wide-tokens", True, 1)
    runs["tokens, ten times as large"] = [measured(write_tokens, *whole)]
    tokenized = [folder / "tokens" / name for name in names]
    runs["blend"] = [measured(write_blend, tokenized, names, folder / "blend.json")]
    return runs


def row(name: str, runs: list[Watched]) -> list[str]:
    """Return a row of the table: number of runs, their seconds, and the peak memory of one."""
    seconds = [taken for taken, _ in runs]
    peak = max(size for _, size in runs) / 1e6
    return [name, str(len(runs)), f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}", f"{peak:,.0f}"]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=5)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="new folder; removed at the end")
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--load", default="", help="sentence about other load of the machine, for the page")
    options = parser.parse_args()
    folder = options.folder
    (folder / "source").mkdir(parents=True)
    count = write_corpus(folder / "source" / "rows.jsonl", int(options.gigabytes * 1e9))
    watch = Watch()
    watch.start()
    started = time.monotonic()
    runs = journey(folder, options.model, options.shards, options.workers, watch)
    seconds = time.monotonic() - started
    watch.over.set()
    watch.join()
    near = json.loads((folder / "near" / "report.json").read_bytes())
    whole: dict[str, Any] = json.loads((folder / "blend.json").read_bytes())
    shutil.rmtree(folder)
    part = whole["components"][SOURCE]
    paragraphs = [
        "# Memory and time of a large corpus",
        f"Written by `python -m benchmarks.data_memory`. {options.gigabytes:g} GB of synthetic JSON Lines "
        f"(`benchmarks/made_up.py`: 200,000 words by Zipf's law, repeated lines; of 50 documents one equals another, "
        f"and one does except for a line), {count:,} documents, {options.shards} shards, all steps; {options.workers} "
        f"processes at a time: those of one step in `documents`, otherwise one per step. {options.load}",
        table(
            ["step", "runs", "seconds (median)", "seconds (maximum)", "MB (maximum)"],
            [row(name, measured) for name, measured in runs.items()],
        ),
        f"In total {seconds / 60:.1f} minutes, and at most {watch.together / 1e6:,.0f} MB for all concurrent "
        f"processes. {near['documents']:,} documents are distinct, {near['near duplicates']:,} of them were dropped as "
        f"near duplicates; {part['documents']:,} documents of {part['tokens']:,} tokens remain.",
        f"`shard` and `tokens` were run once more on {WIDE} shards joined into one, like a shard of a corpus ten times "
        "as large. `documents` reads a stream. `near` needs about 150 bytes of memory per document and reads the "
        "signatures (512 bytes per document) from a file.",
    ]
    write(PAGE, paragraphs)


if __name__ == "__main__":
    main()
