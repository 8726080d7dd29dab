"""Documents of a source: every format is read, and what is left out or repaired is counted."""

import gzip
import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import orjson
import pyarrow
import pyarrow.parquet
import pytest

from tapeout.config.corpus import Selection
from tapeout.config.pretraining import DocumentsJob
from tapeout.data.corpus.documents import Tally, read_source
from tapeout.data.errors import UnreadableFile
from tapeout.data.shards.documents import shard_of, write_documents

pytestmark = pytest.mark.environment("corpus")

TEXT = "The quick brown fox jumps over the lazy dog, again and again and again, number"
JOB: dict[str, Any] = {
    "source": "s",
    "component": "c",
    "licence": "MIT",
    "licences": [],
    "shards": 4,
}


def build(source: Path, output: Path, workers: int = 1, **changed: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Write the documents of a source; return the rows of all shards, and the report."""
    write_documents(source, output, DocumentsJob.model_validate({**JOB, **changed}), workers)
    files = sorted(output.glob("*.jsonl"))
    assert len(files) == {**JOB, **changed}["shards"]
    rows = [orjson.loads(line) for file in files for line in file.open("rb")]
    return rows, orjson.loads((output / "report.json").read_bytes())


def lines(*texts: str, **more: str) -> bytes:
    return "".join(json.dumps({"text": text, **more}) + "\n" for text in texts).encode()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "deep" / "er").mkdir(parents=True)
    return folder


def test_every_format_is_read(source: Path, tmp_path: Path) -> None:
    (source / "deep" / "er" / "page.txt").write_text(f"{TEXT} 1")
    (source / "rows.jsonl").write_bytes(lines(f"{TEXT} 2"))
    (source / "rows.jsonl.gz").write_bytes(gzip.compress(lines(f"{TEXT} 3")) + gzip.compress(lines(f"{TEXT} 4")))
    frames = [pyarrow.Codec("zstd").compress(lines(f"{TEXT} {number}"), asbytes=True) for number in (5, 6)]
    (source / "rows.jsonl.zst").write_bytes(b"".join(frames))
    (source / "page.txt.gz").write_bytes(gzip.compress(f"{TEXT} 7".encode()))
    table = pyarrow.table({"id": [1, 2], "text": [f"{TEXT} 8", None], "license": ["ISC", "ISC"]})
    pyarrow.parquet.write_table(table, source / "table.parquet")
    with zipfile.ZipFile(source / "archive.zip", "w") as archive:
        archive.writestr("in/page.txt", f"{TEXT} 9")
        archive.writestr("in/rows.jsonl", lines(f"{TEXT} 10", license="BSD"))
    with tarfile.open(source / "archive.tar.gz", "w:gz") as archive:
        archive.add(source / "rows.jsonl.gz", "in/rows.jsonl.gz")
    rows, report = build(source, tmp_path / "output")
    texts = sorted((row["text"].removeprefix(TEXT), row["path"], row["licence"]) for row in rows)
    assert texts == [
        (" 1", "deep/er/page.txt", "MIT"),
        (" 10", "in/rows.jsonl", "BSD"),
        (" 2", "rows.jsonl", "MIT"),
        (" 3", "in/rows.jsonl.gz", "MIT"),
        (" 3", "rows.jsonl.gz", "MIT"),
        (" 4", "in/rows.jsonl.gz", "MIT"),
        (" 4", "rows.jsonl.gz", "MIT"),
        (" 5", "rows.jsonl.zst", "MIT"),
        (" 6", "rows.jsonl.zst", "MIT"),
        (" 7", "page.txt.gz", "MIT"),
        (" 8", "table.parquet", "ISC"),
        (" 9", "in/page.txt", "MIT"),
    ]
    assert report["kept"]["documents"] == 12 and report["dropped"] == {"no text": 1}
    assert all(set(row) == {"digest", "component", "licence", "path", "source", "text"} for row in rows)


def test_small_and_sharded_corpora_read_the_same_text(source: Path, tmp_path: Path) -> None:
    """Every file of odd content, in a folder, in an archive and compressed, gives one text or one reason."""
    named = f"{TEXT} Jürgen – é"
    files = {
        "bom.txt": f"{named} 1".encode("utf-8-sig"),
        "western.txt": f"{named} 2".encode("cp1252"),
        "c1.txt": f"{TEXT} J\x81rgen 3".encode("latin-1"),
        "wide.txt": f"{named} 4".encode("utf-16"),
        "lines.txt": f"{TEXT}\r\n{named}\r 5\x07".encode(),
        "binary.txt": b"\0\1\2" + TEXT.encode(),
        "chinese.v": f"module a; // 时钟输入，上升沿有效\nendmodule // {TEXT}".encode("gbk"),
        "pointer.v": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4" * 64 + b"\nsize 12345\n",
        "encrypted.sv": f"// {TEXT}\n`pragma protect begin_protected\n`pragma protect data_block\nAbC=\n".encode(),
        "proof.v": f"(* {TEXT} *)\nRequire Import List.\nLemma a : 1 = 1.\nProof. auto. Qed.\n".encode(),
        "netlist.v": f"// {TEXT}\nmodule a(b);\n\\$_NOT_ _1_ (.A(b), .Y(c));\nendmodule\n".encode(),
    }
    with zipfile.ZipFile(source / "archive.zip", "w") as archive:
        for name, content in files.items():
            (source / name).write_bytes(content)
            archive.writestr(f"in/{name}", content)
            (source / f"{name}.gz").write_bytes(gzip.compress(content))
    (source / "rows.jsonl").write_bytes(b"\xef\xbb\xbf" + lines(f"{named}\r\n 6") + lines("short"))
    (source / "rows.jsonl.gz").write_bytes(gzip.compress(lines(f"{named} 7")))
    rows, report = build(source, tmp_path / "output")
    tally = Tally()
    documents = read_source("s", source, Selection(include=("*",)), tally)
    small = [(document.path.split(":")[0], document.text) for document in documents]
    assert sorted(small) == sorted((row["path"], row["text"]) for row in rows)
    assert (tally.dropped, tally.repaired) == (report["dropped"], report["repaired"])
    texts = [f"{named} 1", f"{named} 2", f"{named} 4", f"{TEXT}\n{named}\n 5", files["chinese.v"].decode("gbk")]
    assert sorted(text for _, text in small) == sorted([*texts * 3, f"{named}\n 6", f"{named} 7"])
    assert report["repaired"] == {
        "byte-order mark, utf-16-le": 3,
        "byte-order mark, utf-8": 4,
        "control characters": 3,
        "line ends": 4,
        "not UTF-8, read as GBK": 3,
        "not UTF-8, read as Windows-1252": 3,
    }
    assert report["dropped"] == {
        "Coq, not Verilog": 3,
        "Git LFS pointer": 3,
        "binary": 3,
        "encrypted": 3,
        "generated netlist": 3,
        "too short": 1,
        "unknown encoding": 3,
    }


def test_drops_are_counted_by_reason(source: Path, tmp_path: Path) -> None:
    (source / "rows.jsonl").write_bytes(
        lines("short") + lines(TEXT) + lines(TEXT * 40) + lines(f"{TEXT} GPL", licence="GPL-3.0")
    )
    (source / "large.txt").write_text(TEXT * 40)
    (source / "large.txt.gz").write_bytes(gzip.compress((TEXT * 40).encode()))
    (source / "other.bin").write_text(TEXT)
    (source / "excluded.txt").write_text(TEXT)
    (source / "link.txt").symlink_to("/etc/hostname")
    rows, report = build(
        source,
        tmp_path / "output",
        max_bytes=2000,
        include=["*.txt", "*.jsonl", "*.gz"],
        exclude=["*/excl*"],
        licences=["MIT"],
    )
    assert [row["text"] for row in rows] == [TEXT]
    assert report["dropped"] == {
        "excluded": 1,
        "licence not allowed": 1,
        "other kind": 1,
        "too large": 3,
        "too short": 1,
    }


def test_parquet_without_the_column_is_an_error(source: Path, tmp_path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"body": [TEXT]}), source / "table.parquet")
    with pytest.raises(UnreadableFile, match="no column 'text'"):
        build(source, tmp_path / "output")
    assert build(source, tmp_path / "other", field="body")[0][0]["text"] == TEXT


@pytest.mark.parametrize("kind", [pyarrow.large_string(), pyarrow.string_view()])
def test_arrow_types_of_text(kind: pyarrow.DataType, source: Path, tmp_path: Path) -> None:
    texts = ["A text of its own. " * 9, "Another text. " * 9]
    pyarrow.parquet.write_table(pyarrow.table({"text": pyarrow.array(texts, kind)}), source / "a.parquet")
    rows, _ = build(source, tmp_path / "out")
    assert {row["text"] for row in rows} == set(texts)


def test_documents_do_not_depend_on_the_number_of_workers(source: Path, tmp_path: Path) -> None:
    (source / "rows.jsonl").write_bytes(lines(*(f"{TEXT} {number} " * 30 for number in range(3000))))
    for workers in (1, 2, 3):
        build(source, tmp_path / f"output{workers}", workers, shards=7)
    files = sorted((tmp_path / "output1").iterdir())
    assert len(files) == 8
    for file in files:
        assert {(tmp_path / f"output{n}" / file.name).read_bytes() for n in (1, 2, 3)} == {file.read_bytes()}, file.name


def test_a_new_document_changes_one_shard(source: Path, tmp_path: Path) -> None:
    texts = [f"{TEXT} {number}" for number in range(500)]
    (source / "rows.jsonl").write_bytes(lines(*texts))
    before = build(source, tmp_path / "before", shards=50)[0]
    (source / "rows.jsonl").write_bytes(lines(*texts[:7], "Something new: " + TEXT, *texts[7:]))
    build(source, tmp_path / "after", shards=50)
    shards = [path.name for path in sorted((tmp_path / "before").glob("*.jsonl"))]
    differing = [
        name for name in shards if (tmp_path / "before" / name).read_bytes() != (tmp_path / "after" / name).read_bytes()
    ]
    assert len(before) == 500 and len(differing) == 1


def test_shards_are_even() -> None:
    assert shard_of("f" * 64, 200) == 199 and shard_of("0" * 64, 200) == 0
    assert shard_of("8" + "0" * 63, 2) == 1 and shard_of("7" + "f" * 63, 2) == 0


def test_a_corpus_reads_parquet_if_a_pattern_selects_it(source: Path) -> None:
    texts = [f"{TEXT} 1", None, f"{TEXT} 2", "short", f"{TEXT} " * 99]
    pyarrow.parquet.write_table(pyarrow.table({"id": [1, 2, 3, 4, 5], "text": texts}), source / "deep" / "a.parquet")
    (source / "page.txt").write_text(f"{TEXT} 3")
    tally, selection = Tally(), Selection(include=("*.parquet", "*.txt"), max_bytes=999)
    documents = read_source("wikipedia", source, selection, tally)
    assert {document.path: document.text for document in documents} == {
        "deep/a.parquet:1": f"{TEXT} 1",
        "deep/a.parquet:3": f"{TEXT} 2",
        "page.txt": f"{TEXT} 3",
    }
    assert tally.dropped == {"no text": 1, "too short": 1, "too large": 1}
    documents = read_source("w", source, Selection(include=("*.txt",)), Tally())
    assert [document.path for document in documents] == ["page.txt"]
    (source / "b.parquet").write_bytes(b"no parquet")
    with pytest.raises(UnreadableFile, match=r"b\.parquet cannot be read"):
        read_source("wikipedia", source, selection, tally)
