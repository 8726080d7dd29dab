"""Cleaning a shard: duplicates, quality and secrets, with counts; near duplicates across shards."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from tapeout.config.pretraining import DocumentsJob, MinHash, NearDuplicates, Quality, Scrub, ShardJob
from tapeout.data.shards.cleaning import scrub
from tapeout.data.shards.documents import write_documents
from tapeout.data.shards.near_duplicates import write_near
from tapeout.data.shards.shard import write_shard
from tapeout.data.shards.signatures import elements, signatures

pytestmark = pytest.mark.environment("corpus")

JOB = ShardJob(quality=Quality(), scrub=Scrub(), near_duplicates=MinHash())


def prose(seed: int, words: int = 200) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(5000)}" for _ in range(words))


def parts(folder: Path, texts: dict[str, list[str]], shards: int = 1) -> list[list[Path]]:
    """Write documents; return the files of each shard, one per source."""
    files = []
    for source, rows in texts.items():
        source_folder = folder / f"source-{source}"
        source_folder.mkdir(parents=True)
        (source_folder / "rows.jsonl").write_bytes(b"".join(orjson.dumps({"text": row}) + b"\n" for row in rows))
        job = DocumentsJob(source=source, component="c", licence="MIT", licences=(), shards=shards)
        write_documents(source_folder, folder / source, job, 1)
        files.append(sorted((folder / source).glob("*.jsonl")))
    return [list(shard) for shard in zip(*files, strict=True)]


def cleaned(folder: Path, texts: dict[str, list[str]], job: ShardJob = JOB, workers: int = 1) -> Any:
    """Clean one shard; return its rows and its report."""
    write_shard(parts(folder, texts)[0], folder / "shard", job, workers)
    rows = [orjson.loads(line) for line in (folder / "shard" / "documents.jsonl").open("rb")]
    return rows, orjson.loads((folder / "shard" / "report.json").read_bytes())


def test_equal_documents_are_kept_once(tmp_path: Path) -> None:
    rows, report = cleaned(tmp_path, {"a": [prose(1), prose(2), prose(1)], "b": [prose(2), prose(3)]})
    assert sorted((row["text"], row["source"]) for row in rows) == sorted(
        [(prose(1), "a"), (prose(2), "a"), (prose(3), "b")]
    )
    assert [row["digest"] for row in rows] == sorted(row["digest"] for row in rows)
    assert report["dropped"] == {"a": {"duplicate": 1}, "b": {"duplicate": 1}}
    assert report["kept"]["b"]["documents"] == 1


def test_poor_documents_are_dropped_by_reason(tmp_path: Path) -> None:
    texts = [
        "x" * 20_000,
        "+-*/ " * 100 + "a",
        "the same line once more\n" * 50,
        prose(1),
        "\n".join(f"assign a[{n}] = b[{n}];" for n in range(50)),
    ]
    rows, report = cleaned(tmp_path, {"a": texts})
    assert {row["text"] for row in rows} == set(texts[3:])
    assert report["dropped"]["a"] == {"a line too long": 1, "few letters and digits": 1, "repeats itself": 1}


def test_scrubbed_text_is_replaced_and_counted(tmp_path: Path) -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc\n-----END RSA PRIVATE KEY-----"
    secret = f"Ask jane.doe+rtl@example.com or http://joe:hunter2@host.org/x\n{key}\nAKIAABCDEFGHIJKLMNOP {prose(1)}"
    harmless = f"always @(posedge clk) begin x@y; end // {prose(2)}"
    job = ShardJob(quality=Quality(), scrub=Scrub(emails=True, secrets=True), near_duplicates=None)
    rows, report = cleaned(tmp_path, {"a": [secret, harmless]}, job)
    texts = sorted(row["text"] for row in rows)
    assert texts == sorted([f"Ask <email> or http://<secret>@host.org/x\n<secret>\n<secret> {prose(1)}", harmless])
    assert report["scrubbed"]["a"] == {"access key": 1, "e-mail": 1, "password in a URL": 1, "private key": 1}
    assert not (tmp_path / "shard" / "signatures").exists()


def test_scrubbing_is_off_by_default(tmp_path: Path) -> None:
    text = f"jane@example.com {prose(1)}"
    assert [row["text"] for row in cleaned(tmp_path, {"a": [text]})[0]] == [text]


@pytest.mark.parametrize(
    "text", ["a" * 2_000_000, "a@" * 500_000, "a." * 500_000, "-----BEGIN PRIVATE KEY-----" * 3000]
)
def test_scrubbing_pathological_text_does_not_backtrack(text: str) -> None:
    scrub(text, Scrub(emails=True, secrets=True), Counter())


def test_shards_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    texts = {"a": [prose(n, 900) for n in range(700)], "b": [prose(n, 900) for n in range(600, 900)]}
    for workers in (1, 2, 3):
        cleaned(tmp_path / str(workers), texts, workers=workers)
    files = sorted(path for path in (tmp_path / "1" / "shard").rglob("*") if path.is_file())
    assert len(files) == 4
    for file in files:
        name = file.relative_to(tmp_path / "1")
        assert {(tmp_path / str(n) / name).read_bytes() for n in (2, 3)} == {file.read_bytes()}, name


def jaccard(one: str, other: str) -> float:
    first, second = (set(elements(text, 5).tolist()) for text in (one, other))
    return len(first & second) / len(first | second)


def test_signatures_estimate_the_similarity() -> None:
    base = prose(1, 400).split()
    for changed in (0, 4, 20, 80):
        other = " ".join(["new"] * changed + base[changed:])
        signed = signatures([" ".join(base), other], NearDuplicates(permutations=256, bands=16))
        assert (signed[0] == signed[1]).mean() == pytest.approx(jaccard(" ".join(base), other), abs=0.12)


def test_signatures_ignore_white_space_and_exist_for_short_texts() -> None:
    signed = signatures(["a b", "a\n\t b", "a c", "a"], NearDuplicates())
    assert (signed[0] == signed[1]).all()
    assert not (signed[0] == signed[2]).all() and not (signed[0] == signed[3]).all()


def test_near_duplicates_across_shards(tmp_path: Path) -> None:
    texts = [prose(n) for n in range(60)]
    copies = [f"// vendored\n{text.replace(' ', '  ')}" for text in texts[:20]]
    shards = parts(tmp_path, {"a": texts, "b": copies}, shards=8)
    names = [f"{number:04d}" for number in range(8)]
    (tmp_path / "shards").mkdir()
    for name, files in zip(names, shards, strict=True):
        write_shard(files, tmp_path / "shards" / name, JOB, 1)
    folders = [tmp_path / "shards" / name / "signatures" for name in names]
    write_near(folders, names, tmp_path / "near", NearDuplicates())
    dropped = [orjson.loads(line) for name in names for line in (tmp_path / "near" / f"{name}.jsonl").open("rb")]
    assert len(dropped) == 20 and all(row["like"] < row["digest"] and row["similarity"] >= 0.8 for row in dropped)
    assert orjson.loads((tmp_path / "near" / "report.json").read_bytes()) == {"documents": 80, "near duplicates": 20}
