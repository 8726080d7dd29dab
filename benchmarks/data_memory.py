"""How much memory and time a large corpus takes: a made-up one goes through all steps, shard by shard, then the blend.

``python -m benchmarks.data_memory --gigabytes 5 --model tokenizer.model --folder NEW``, in the corpus environment.
Each step of a shard is a process of its own, as in the graph, and as many run side by side as there are processors.
Memory is the resident memory of all processes of a step, summed ten times a second; pages that processes share count
in each. The folder is removed at the end.
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
"""Seconds, and the most bytes of a step."""


def resident() -> tuple[dict[int, int], dict[int, list[int]]]:
    """Bytes of every process of the machine, and the children of each."""
    pages: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            pages[int(place.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            children.setdefault(int(fields[1]), []).append(int(place.name))
    return pages, children


class Watch(threading.Thread):
    """Looks at the memory of processes, and of all that they started, until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most: dict[int, int] = {}
        """Most bytes of each process that is watched and of those below it."""
        self.together = 0
        """Most bytes of all that ran at one time, this process left out."""
        self.over = threading.Event()

    def run(self) -> None:
        """Sample the memory until ``over`` is set."""
        while not self.over.wait(PAUSE):
            pages, children = resident()
            sums = {root: _below(root, pages, children) for root in list(self.most)}
            for root, found in sums.items():
                self.most[root] = max(self.most[root], found)
            self.together = max(self.together, sum(sums.values()))


def _below(root: int, pages: dict[int, int], children: dict[int, list[int]]) -> int:
    found, waiting = 0, [root]
    while waiting:
        process = waiting.pop()
        found += pages.get(process, 0)
        waiting += children.get(process, [])
    return found


def watched(watch: Watch, step: Callable[..., object], *arguments: object) -> Watched:
    """Run a step in a process of its own."""
    started = time.monotonic()
    process = multiprocessing.get_context("spawn").Process(target=step, args=arguments)
    process.start()
    identity = process.pid or 0
    watch.most[identity] = 0
    process.join()
    if process.exitcode:
        raise SystemExit(f"{step} failed")
    return time.monotonic() - started, watch.most[identity]


def write_blend(folders: Sequence[Path], names: Sequence[str], output: Path) -> None:
    """Run the step ``pretraining_blend``."""
    reports = [orjson.loads((folder / "report.json").read_bytes()) for folder in folders]
    write_json(output, blend(reports, BlendJob(weights={SOURCE: 1}, shards=tuple(names))))


def journey(folder: Path, model: Path, shards: int, workers: int, watch: Watch) -> dict[str, list[Watched]]:
    """All steps of the corpus in ``folder / "source"``; what each took."""
    near = NearDuplicates()
    job = DocumentsJob(source=SOURCE, component=SOURCE, licence="none", licences=(), shards=shards)
    cleaning = ShardJob(quality=Quality(), scrub=Scrub(emails=True, secrets=True), near_duplicates=near.signing)
    names = [shard_name(number) for number in range(shards)]
    for name in ("shards", "tokens"):
        (folder / name).mkdir()
    own = partial(watched, watch)

    def shard(name: str) -> Watched:
        return own(write_shard, [folder / "documents" / f"{name}.jsonl"], folder / "shards" / name, cleaning, 1)

    def tokens(name: str) -> Watched:
        documents, gone = folder / "shards" / name / "documents.jsonl", folder / "near" / f"{name}.jsonl"
        return own(write_tokens, documents, gone, model, folder / "tokens" / name, True, 1)

    found = {"documents": [own(write_documents, folder / "source", folder / "documents", job, workers)]}
    with ThreadPoolExecutor(workers) as side_by_side:
        found["shard"] = list(side_by_side.map(shard, names))
        signatures = [folder / "shards" / name / "signatures" for name in names]
        found["near"] = [own(write_near, signatures, names, folder / "near", near)]
        found["tokens"] = list(side_by_side.map(tokens, names))
    # ten shards as one: what a shard of a corpus ten times as large takes
    several = [folder / "documents" / f"{name}.jsonl" for name in names[:WIDE]]
    found["shard, ten times as large"] = [own(write_shard, several, folder / "wide", cleaning, 1)]
    whole = (folder / "wide" / "documents.jsonl", None, model, folder / "wide-tokens", True, 1)
    found["tokens, ten times as large"] = [own(write_tokens, *whole)]
    made = [folder / "tokens" / name for name in names]
    found["blend"] = [own(write_blend, made, names, folder / "blend.json")]
    return found


def row(name: str, each: list[Watched]) -> list[str]:
    """Return a row: how often it ran, seconds of one, the most memory of one."""
    seconds = [taken for taken, _ in each]
    most = max(size for _, size in each) / 1e6
    return [name, str(len(each)), f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}", f"{most:,.0f}"]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=5)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True, help="does not exist yet; is removed")
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--load", default="", help="what else the machine did, for the page")
    options = parser.parse_args()
    folder = options.folder
    (folder / "source").mkdir(parents=True)
    count = write_corpus(folder / "source" / "rows.jsonl", int(options.gigabytes * 1e9))
    watch = Watch()
    watch.start()
    started = time.monotonic()
    found = journey(folder, options.model, options.shards, options.workers, watch)
    seconds = time.monotonic() - started
    watch.over.set()
    watch.join()
    near = json.loads((folder / "near" / "report.json").read_bytes())
    whole: dict[str, Any] = json.loads((folder / "blend.json").read_bytes())
    shutil.rmtree(folder)
    part = whole["components"][SOURCE]
    paragraphs = [
        "# Memory and time of a large corpus",
        f"Written by `python -m benchmarks.data_memory`. {options.gigabytes:g} GB of made-up JSON Lines "
        f"(benchmarks/made_up.py: 200,000 words by Zipf's law, lines that come again, one document in 50 equal to "
        f"another and one but for a line), {count:,} documents, {options.shards} shards, all of them through all "
        f"steps; {options.workers} processes at a time, in `documents` of one step, else a step each. {options.load}",
        table(
            ["step", "runs", "seconds (median)", "seconds (longest)", "MB of one (most)"],
            [row(*each) for each in found.items()],
        ),
        f"All in all {seconds / 60:.1f} minutes; at no time more than {watch.together / 1e6:,.0f} MB for all that ran "
        f"side by side. {near['documents']:,} documents are different from all others, {near['near duplicates']:,} of "
        f"them went as near duplicates; {part['documents']:,} documents of {part['tokens']:,} tokens are left.",
        f"`shard` and `tokens` were run once more on {WIDE} shards put together as one, which is a shard of a corpus "
        "ten times as large. `documents` reads as a stream. `near` holds some 150 bytes a document and reads the "
        "signatures (512 bytes a document) from a file.",
    ]
    figures = {"gigabytes": options.gigabytes, "documents": count, "seconds": seconds, "together": watch.together}
    write(PAGE, paragraphs, {**figures, "near": near, "tokens": part["tokens"], "steps": found})


if __name__ == "__main__":
    main()
