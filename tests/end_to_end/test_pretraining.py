"""A corpus in shards under the real Snakemake: the steps that rerun after a document is added."""

import io
import json
import random
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.conftest import Clone, Run
from tests.end_to_end.conftest import clone as copied

pytestmark = pytest.mark.end_to_end

SHARDS = 24
"""More than a family (16)."""


def page(number: int) -> str:
    """Return a unique text."""
    draw = random.Random(number)
    return f"Page {number}. " + " ".join(f"word{draw.randrange(5000)}" for _ in range(80)) + "\n"


def archive(pages: dict[str, str]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as opened:
        for name, text in sorted(pages.items()):
            opened.writestr(zipfile.ZipInfo(name), text)
    return made.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, dict[str, str], Run]:
    """A clone with a corpus in shards, the pages of one of its sources, and the outcome of the first run."""
    clone = copied(tmp_path_factory.mktemp("sharded") / "clone")
    pages = {f"page_{number}.txt": page(number) for number in range(120)}
    (clone.root / "tiny" / "pages.zip").write_bytes(archive(pages))
    rows = "".join(json.dumps({"text": page(1000 + number)}) + "\n" for number in range(80))
    (clone.root / "tiny" / "rows.jsonl").write_text(rows)
    sources = yaml.safe_load((clone.root / "tiny" / "sources.yaml").read_text())
    for name, file in (("pages", "pages.zip"), ("rows", "rows.jsonl")):
        sources[name] = {"kind": "file", "path": f"tiny/{file}", "licence": "MIT"}
    (clone.root / "tiny" / "sources.yaml").write_text(yaml.safe_dump(sources))
    components = {
        "design": {"sources": ["alpha", "beta"], "weight": 3},
        "text": {"sources": ["pages", "rows"], "weight": 1},
    }
    config = yaml.safe_load((clone.root / "tiny" / "config.yaml").read_text())
    config["pretraining"] = {"shards": SHARDS, "components": components}
    (clone.root / "tiny" / "config.yaml").write_text(yaml.safe_dump(config))
    return clone, pages, clone.run("pretraining_blend")


def test_a_document_more_makes_one_shard_again(made: tuple[Clone, dict[str, str], Run]) -> None:
    clone, pages, first = made
    per_shard = [f"pretraining/{kind}/{number:04d}" for kind in ("shards", "tokens") for number in range(SHARDS)]
    documents = [f"pretraining/documents/{name}" for name in ("alpha", "beta", "pages", "rows")]
    made_first = {name for name in first.built if name.startswith("pretraining/")}
    assert made_first == {*per_shard, *documents, "pretraining/blend.json", "pretraining/near"}
    assert clone.run("pretraining_blend").nothing_done

    # one document more
    before = clone.digests()
    file = clone.root / "tiny" / "pages.zip"
    file.write_bytes(archive({**pages, "new.txt": page(5000)}))
    run = clone.run("pretraining_blend")
    around = {"sources/pages", "pretraining/documents/pages", "pretraining/near", "pretraining/blend.json"}
    shards = sorted(name for name in run.built if name.startswith("pretraining/shards/"))
    assert len(shards) == 1, run.text
    assert set(run.built) == around | {shards[0], shards[0].replace("shards", "tokens")}
    after = clone.digests()
    assert {name for name in after if after[name] != before[name]} == set(run.built)

    # an edited document moves to another shard
    file.write_bytes(archive({**pages, "page_7.txt": page(7) + "And more.\n"}))
    shards = [name for name in clone.run("pretraining_blend").built if name.startswith("pretraining/shards/")]
    assert len(shards) <= 2

    # reverted: only checkpoints run
    file.write_bytes(archive(pages))
    assert clone.run("pretraining_blend").built == []
    assert clone.digests() == before


def test_a_near_duplicate_in_another_shard_goes(made: tuple[Clone, dict[str, str], Run]) -> None:
    clone, pages, _ = made
    tokens = json.loads((clone.root / "results/pretraining/blend.json").read_bytes())["components"]["text"]
    assert tokens["documents"] == 200
    near = clone.root / "results/pretraining/near/report.json"
    before = json.loads(near.read_bytes())["near duplicates"]
    (clone.root / "tiny" / "pages.zip").write_bytes(archive({**pages, "copy.txt": page(1) + "A copy.\n"}))
    run = clone.run("pretraining_blend")
    assert json.loads(near.read_bytes())["near duplicates"] == before + 1
    changed = [name for name in run.built if name.startswith("pretraining/tokens/")]
    assert len(changed) <= 2
    (clone.root / "tiny" / "pages.zip").write_bytes(archive(pages))
    assert clone.run("pretraining_blend").built == []


def test_weights_are_those_of_the_config(made: tuple[Clone, dict[str, str], Run]) -> None:
    root: Path = made[0].root
    whole = json.loads((root / "results/pretraining/blend.json").read_bytes())
    weights, paths = whole["data_path"][::2], whole["data_path"][1::2]
    design = sum(weight for weight, path in zip(weights, paths, strict=True) if path.endswith("/design"))
    assert sum(weights) == pytest.approx(1) and design == pytest.approx(0.75)
    assert whole["tokens"] == sum((root / "results" / f"{path}.bin").stat().st_size // 2 for path in paths)
