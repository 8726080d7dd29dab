"""Count the jobs that one changed document causes in a corpus of 200 shards, in real Snakemake runs.

Run ``python -m benchmarks.data_change`` in the development environment, after ``make environments``. It uses a copy of
the project with small sources: a corpus of 2,000 pages is divided into shards, then documents are added, edited and
removed.
"""

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml

from benchmarks.tables import table, write
from tests.end_to_end.conftest import Clone, Run, clone
from tests.end_to_end.test_pretraining import archive, page

PAGE = Path(__file__).parent / "data_change.md"
PAGES = 2000
KINDS = ["sources", "documents", "shards", "near", "tokens", "blend"]


def prepare(folder: Path, shards: int) -> tuple[Clone, dict[str, str]]:
    """Return a copy of the project with a corpus, and its pages."""
    project = clone(folder / "clone")
    pages = {f"page_{number}.txt": page(number) for number in range(PAGES)}
    tiny = project.root / "tiny"
    (tiny / "pages.zip").write_bytes(archive(pages))
    sources = yaml.safe_load((tiny / "sources.yaml").read_text())
    sources["pages"] = {"kind": "file", "path": "tiny/pages.zip", "licence": "MIT"}
    (tiny / "sources.yaml").write_text(yaml.safe_dump(sources))
    config = yaml.safe_load((tiny / "config.yaml").read_text())
    components = {"design": {"sources": ["alpha", "beta"], "weight": 3}, "text": {"sources": ["pages"], "weight": 1}}
    config["pretraining"] = {"shards": shards, "components": components}
    (tiny / "config.yaml").write_text(yaml.safe_dump(config))
    return project, pages


def kinds(run: Run) -> Counter[str]:
    """Return how many artifacts of each kind a run built."""
    return Counter(
        next((kind for kind in KINDS if f"{kind}" in name.split("/", 2)[name.startswith("pretraining/")]), "others")
        for name in run.built
    )


def row(change: str, run: Run, seconds: float) -> list[str]:
    """Return a row of the table."""
    counts = kinds(run)
    return [change, *(str(counts[kind]) for kind in [*KINDS, "others"]), f"{seconds:.0f}"]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--load", default="", help="sentence about other load of the machine, for the page")
    options = parser.parse_args()
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as name:
        project, pages = prepare(Path(name), options.shards)
        added = {**pages, "new.txt": page(5000)}
        edited = {**added, "page_7.txt": pages["page_7.txt"] + "And more.\n"}
        removed = {name: text for name, text in edited.items() if name != "page_9.txt"}
        steps = {
            "full build": pages,
            "no change": pages,
            "one document added": added,
            "one document edited": edited,
            "one document removed": removed,
            "the three changes reverted": pages,
        }
        for change, content in steps.items():
            (project.root / "tiny" / "pages.zip").write_bytes(archive(content))
            started = time.monotonic()
            run = project.run("pretraining_blend")
            rows.append(row(change, run, time.monotonic() - started))
            print(rows[-1], flush=True)
    paragraphs = [
        "# Effect of one changed document",
        f"Written by `python -m benchmarks.data_change`: the real Snakemake, {options.shards} shards, {PAGES:,} pages "
        f"in one archive and two small cores. Number of artifacts of each kind that were built. {options.load}",
        table(["", *KINDS, "others", "seconds"], rows),
        "A document's digest decides its shard. So adding or removing a document changes one shard; an edited document "
        "moves to another shard, which changes two (rarely one). `others` are the inputs of the tokenizer. Reverted "
        "results are restored from the store, and nothing runs.",
    ]
    write(PAGE, paragraphs)


if __name__ == "__main__":
    main()
