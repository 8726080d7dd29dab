"""All steps of a sharded corpus: no document is lost or doubled, for any number of shards and any order."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapeout.config.pretraining import DocumentsJob, NearDuplicates, Quality, Scrub, ShardJob, shard_name
from tapeout.data.shards.documents import write_documents
from tapeout.data.shards.near_duplicates import write_near
from tapeout.data.shards.shard import write_shard
from tapeout.data.shards.tokens import write_tokens

pytestmark = pytest.mark.environment("corpus")

NEAR = NearDuplicates(permutations=64, bands=8)
JOB = ShardJob(quality=Quality(), scrub=Scrub(emails=True), near_duplicates=NEAR.minhash)


def prose(seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(3000)}" for _ in range(120))


KINDS: list[Callable[[int], dict[str, Any]]] = [
    lambda n: {"text": prose(n)},
    lambda n: {"text": prose(n), "license": "ISC"},  # the same text with a licence
    lambda n: {"text": f"// vendored\n{prose(n).replace(' ', '  ')}"},  # a near duplicate
    lambda n: {"text": prose(n) + f" mail{n}@example.com"},
    lambda n: {"text": "short"},
    lambda n: {"text": f"{prose(n)} forbidden", "license": "GPL"},
    lambda n: {"text": "+-*/ " * 100 + f"a{n}"},
]
DOCUMENTS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, len(KINDS) - 1), st.integers(0, 9)), max_size=40)


@dataclass
class Result:
    """Reports of all steps, and the content of all shards one after another."""

    documents: dict[str, dict[str, Any]]
    shards: list[dict[str, Any]]
    near: dict[str, int]
    tokens: list[dict[str, dict[str, int]]]
    lines: bytes
    dropped: bytes
    ids: bytes


def run_pipeline(folder: Path, sources: dict[str, list[dict[str, Any]]], model: Path, shards: int) -> Result:
    folder.mkdir(parents=True)
    names = [shard_name(number) for number in range(shards)]
    for source, rows in sources.items():
        source_folder = folder / "sources" / source
        source_folder.mkdir(parents=True)
        (source_folder / "rows.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        job = DocumentsJob(source=source, component="c", licence="MIT", licences=("MIT", "ISC"), shards=shards)
        write_documents(source_folder, folder / source, job, 1)
    for name in names:
        write_shard([folder / source / f"{name}.jsonl" for source in sources], folder / f"shard{name}", JOB, 1)
    write_near([folder / f"shard{name}" / "signatures" for name in names], names, folder / "near", NEAR)
    for name in names:
        documents, near = folder / f"shard{name}" / "documents.jsonl", folder / "near" / f"{name}.jsonl"
        write_tokens(documents, near, model, folder / f"tokens{name}", True, 1)

    def read(*names: str) -> Any:
        return orjson.loads(folder.joinpath(*names).read_bytes())

    ids = [folder / f"tokens{name}" / "c.bin" for name in names]
    return Result(
        {source: read(source, "report.json") for source in sources},
        [read(f"shard{name}", "report.json") for name in names],
        read("near", "report.json"),
        [read(f"tokens{name}", "report.json") for name in names],
        b"".join((folder / f"shard{name}" / "documents.jsonl").read_bytes() for name in names),
        b"".join((folder / "near" / f"{name}.jsonl").read_bytes() for name in names),
        b"".join(file.read_bytes() for file in ids if file.exists()),
    )


def total(reports: list[dict[str, Any]], name: str) -> Counter[str]:
    """Return the sums over shards and sources of one part of the shards' reports."""
    return sum((Counter(counts) for report in reports for counts in report[name].values()), Counter[str]())


@settings(deadline=None, max_examples=15, derandomize=True)
@given(DOCUMENTS, st.integers(2, 9))
def test_every_document_is_written_or_counted_once(
    tmp_path_factory: pytest.TempPathFactory,
    model: Path,
    drawn: list[tuple[str, int, int]],
    shards: int,
) -> None:
    folder = tmp_path_factory.mktemp("way")
    # each source has one text twice, so that it is not empty and the order of rows could matter
    sources = {source: [KINDS[0](number), KINDS[1](number)] for number, source in enumerate("ab", 1000)}
    for source, kind, number in drawn:
        sources[source].append(KINDS[kind](number))
    result = run_pipeline(folder / "one", sources, model, 1)
    for source, rows in sources.items():
        report = result.documents[source]
        assert len(rows) == report["kept"]["documents"] + sum(report["dropped"].values())
        kinds = Counter(kind for name, kind, _ in drawn if name == source)
        assert report["dropped"].get("too short", 0) == kinds[4]
        assert report["dropped"].get("licence not allowed", 0) == kinds[5]
    written = sum(report["kept"]["documents"] for report in result.documents.values())
    kept, dropped = total(result.shards, "kept")["documents"], total(result.shards, "dropped")
    rows = [orjson.loads(line) for line in result.lines.splitlines()]
    assert written == kept + dropped.total() and kept == len(rows) == len({row["digest"] for row in rows})
    assert dropped["few letters and digits"] == len({number for _, kind, number in drawn if kind == 6})
    dropped_digests = [orjson.loads(line)["digest"] for line in result.dropped.splitlines()]
    assert result.near == {"documents": kept, "near duplicates": len(dropped_digests)}
    assert set(dropped_digests) < {row["digest"] for row in rows} and len(set(dropped_digests)) == len(dropped_digests)
    assert sum(report["c"]["documents"] for report in result.tokens if report) == kept - len(dropped_digests)
    assert sum(report["c"]["tokens"] for report in result.tokens if report) * 2 == len(result.ids)

    # neither the number of shards nor the order of the rows changes a byte of the whole
    for rows in sources.values():
        rows.reverse()
    other = run_pipeline(folder / "other", sources, model, shards)
    assert (other.lines, other.dropped, other.ids) == (result.lines, result.dropped, result.ids)
    assert (other.near, other.documents) == (result.near, result.documents)
    for name in ("kept", "dropped", "scrubbed"):
        assert total(other.shards, name) == total(result.shards, name)
