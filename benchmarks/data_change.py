"""What one document changes in a corpus of 200 shards, under the real Snakemake: counted job by job, and timed.

``python -m benchmarks.data_change``, in the development environment, the others being there (``make environments``).
The project is a copy with small sources; a corpus of some thousand pages is cut into the shards, and then documents
are added, edited and removed.
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
    made = clone(folder / "clone")
    pages = {f"page_{number}.txt": page(number) for number in range(PAGES)}
    tiny = made.root / "tiny"
    (tiny / "pages.zip").write_bytes(archive(pages))
    sources = yaml.safe_load((tiny / "sources.yaml").read_text())
    sources["pages"] = {"kind": "file", "path": "tiny/pages.zip", "licence": "MIT"}
    (tiny / "sources.yaml").write_text(yaml.safe_dump(sources))
    config = yaml.safe_load((tiny / "config.yaml").read_text())
    components = {"design": {"sources": ["alpha", "beta"], "weight": 3}, "text": {"sources": ["pages"], "weight": 1}}
    config["pretraining"] = {"shards": shards, "components": components}
    (tiny / "config.yaml").write_text(yaml.safe_dump(config))
    return made, pages


def kinds(run: Run) -> Counter[str]:
    """How many artifacts of each kind a run made."""
    return Counter(
        next((kind for kind in KINDS if f"{kind}" in name.split("/", 2)[name.startswith("pretraining/")]), "others")
        for name in run.built
    )


def row(what: str, run: Run, seconds: float) -> list[str]:
    """Return a row of the table."""
    made = kinds(run)
    return [what, *(str(made[kind]) for kind in [*KINDS, "others"]), f"{seconds:.0f}"]


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--load", default="", help="what else the machine did, for the page")
    options = parser.parse_args()
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as name:
        made, pages = prepare(Path(name), options.shards)
        added = {**pages, "new.txt": page(5000)}
        edited = {**added, "page_7.txt": pages["page_7.txt"] + "And more.\n"}
        removed = {name: text for name, text in edited.items() if name != "page_9.txt"}
        steps = {
            "all, from nothing": pages,
            "nothing changed": pages,
            "one document more": added,
            "one document edited": edited,
            "one document removed": removed,
            "the last three taken back": pages,
        }
        for what, content in steps.items():
            (made.root / "tiny" / "pages.zip").write_bytes(archive(content))
            started = time.monotonic()
            run = made.run("pretraining_blend")
            rows.append(row(what, run, time.monotonic() - started))
            print(rows[-1], flush=True)
    paragraphs = [
        "# What one document changes",
        f"Written by `python -m benchmarks.data_change`: the real Snakemake, {options.shards} shards, {PAGES:,} pages "
        f"in one archive and two small cores. How many artifacts of each kind were made again. {options.load}",
        table(["", *KINDS, "others", "seconds"], rows),
        "A document's shard is a function of its digest. So a document more or less is one shard; an edited one leaves "
        "its shard for that of its new digest, which is two shards, or one by chance. `others` is what the tokenizer "
        "is made of. What is taken back is found in the store, and nothing runs.",
    ]
    write(PAGE, paragraphs, {"shards": options.shards, "pages": PAGES, "rows": rows})


if __name__ == "__main__":
    main()
