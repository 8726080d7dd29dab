"""The whole way of a corpus: nothing is lost or doubled at any step, whatever the number of shards and the order."""

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
JOB = ShardJob(quality=Quality(), scrub=Scrub(emails=True), near_duplicates=NEAR.signing)


def prose(seed: int) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(3000)}" for _ in range(120))


KINDS: list[Callable[[int], dict[str, Any]]] = [
    lambda n: {"text": prose(n)},
    lambda n: {"text": prose(n), "license": "ISC"},  # the same text, which says more of itself
    lambda n: {"text": f"// vendored\n{prose(n).replace(' ', '  ')}"},  # near it
    lambda n: {"text": prose(n) + f" mail{n}@example.com"},
    lambda n: {"text": "short"},
    lambda n: {"text": f"{prose(n)} forbidden", "license": "GPL"},
    lambda n: {"text": "+-*/ " * 100 + f"a{n}"},
]
DOCUMENTS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, len(KINDS) - 1), st.integers(0, 9)), max_size=40)


@dataclass
class Way:
    """All that was made of a corpus: what its steps say of themselves, and all shards one after another."""

    documents: dict[str, dict[str, Any]]
    shards: list[dict[str, Any]]
    near: dict[str, int]
    tokens: list[dict[str, dict[str, int]]]
    lines: bytes
    gone: bytes
    ids: bytes


def go(folder: Path, sources: dict[str, list[dict[str, Any]]], model: Path, shards: int) -> Way:
    folder.mkdir(parents=True)
    names = [shard_name(number) for number in range(shards)]
    for source, rows in sources.items():
        place = folder / "sources" / source
        place.mkdir(parents=True)
        (place / "rows.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        job = DocumentsJob(source=source, component="c", licence="MIT", licences=("MIT", "ISC"), shards=shards)
        write_documents(place, folder / source, job, 1)
    for name in names:
        write_shard([folder / source / f"{name}.jsonl" for source in sources], folder / f"shard{name}", JOB, 1)
    write_near([folder / f"shard{name}" / "signatures" for name in names], names, folder / "near", NEAR)
    for name in names:
        documents, gone = folder / f"shard{name}" / "documents.jsonl", folder / "near" / f"{name}.jsonl"
        write_tokens(documents, gone, model, folder / f"tokens{name}", True, 1)

    def read(*names: str) -> Any:
        return orjson.loads(folder.joinpath(*names).read_bytes())

    ids = [folder / f"tokens{name}" / "c.bin" for name in names]
    return Way(
        {source: read(source, "report.json") for source in sources},
        [read(f"shard{name}", "report.json") for name in names],
        read("near", "report.json"),
        [read(f"tokens{name}", "report.json") for name in names],
        b"".join((folder / f"shard{name}" / "documents.jsonl").read_bytes() for name in names),
        b"".join((folder / "near" / f"{name}.jsonl").read_bytes() for name in names),
        b"".join(file.read_bytes() for file in ids if file.exists()),
    )


def total(reports: list[dict[str, Any]], name: str) -> Counter[str]:
    """Sums over shards and sources of one part of the shards' reports."""
    return sum((Counter(each) for report in reports for each in report[name].values()), Counter[str]())


@settings(deadline=None, max_examples=15, derandomize=True)
@given(DOCUMENTS, st.integers(2, 9))
def test_every_document_is_kept_or_counted_once(
    tmp_path_factory: pytest.TempPathFactory,
    model: Path,
    drawn: list[tuple[str, int, int]],
    shards: int,
) -> None:
    folder = tmp_path_factory.mktemp("way")
    # one text twice in each source, so that none is empty, and the order could decide
    sources = {source: [KINDS[0](place), KINDS[1](place)] for place, source in enumerate("ab", 1000)}
    for source, kind, number in drawn:
        sources[source].append(KINDS[kind](number))
    way = go(folder / "one", sources, model, 1)
    for source, rows in sources.items():
        report = way.documents[source]
        assert len(rows) == report["kept"]["documents"] + sum(report["dropped"].values())
        kinds = Counter(kind for name, kind, _ in drawn if name == source)
        assert report["dropped"].get("too short", 0) == kinds[4]
        assert report["dropped"].get("licence not allowed", 0) == kinds[5]
    given_on = sum(report["kept"]["documents"] for report in way.documents.values())
    kept, dropped = total(way.shards, "kept")["documents"], total(way.shards, "dropped")
    rows = [orjson.loads(line) for line in way.lines.splitlines()]
    assert given_on == kept + dropped.total() and kept == len(rows) == len({row["digest"] for row in rows})
    assert dropped["few letters and digits"] == len({number for _, kind, number in drawn if kind == 6})
    gone = [orjson.loads(line)["digest"] for line in way.gone.splitlines()]
    assert way.near == {"documents": kept, "near duplicates": len(gone)}
    assert set(gone) < {row["digest"] for row in rows} and len(set(gone)) == len(gone)
    assert sum(each["c"]["documents"] for each in way.tokens if each) == kept - len(gone)
    assert sum(each["c"]["tokens"] for each in way.tokens if each) * 2 == len(way.ids)

    # digests decide, so that neither the number of shards nor the order of the rows changes a byte of the whole
    for rows in sources.values():
        rows.reverse()
    other = go(folder / "other", sources, model, shards)
    assert (other.lines, other.gone, other.ids) == (way.lines, way.gone, way.ids)
    assert (other.near, other.documents) == (way.near, way.documents)
    for name in ("kept", "dropped", "scrubbed"):
        assert total(other.shards, name) == total(way.shards, name)
