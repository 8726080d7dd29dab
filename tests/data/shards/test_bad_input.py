"""Bad input of every kind is a reported error or a counted drop, also in archives and compressed files."""

import gzip
import io
import os
import random
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tapeout.data.errors import BadRow, NotEnoughData, UnreadableFile
from tapeout.data.io.text_rows import is_allowed, joined_licence
from tapeout.errors import TapeoutError
from tests.data.shards.test_documents import TEXT, build, lines

pytestmark = pytest.mark.environment("corpus")

GOOD = f"{TEXT} 1".encode()
ROOT = Path(__file__).parents[3]


def packed_zip(files: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


def packed_tar(files: Iterable[tuple[str, bytes]], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def parquet(table: pyarrow.Table) -> bytes:
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()


def zstd(content: bytes) -> bytes:
    return bytes(pyarrow.Codec("zstd").compress(content, asbytes=True))


def damaged(content: bytes, start: int, count: int = 20) -> bytes:
    return content[:start] + b"\xff" * count + content[start + count :]


PAGES = [(f"a{number}.txt", GOOD * 50) for number in range(50)]
NOT_UTF_8 = pyarrow.array([b"ok" * 50, b"\xff\xfe" * 50], pyarrow.binary()).view(pyarrow.string())
TWICE = pyarrow.Table.from_arrays([pyarrow.array([TEXT])] * 2, ["text", "text"])
CASES: dict[str, tuple[str, bytes, type[TapeoutError], str]] = {
    "zip, deflate": ("a.zip", damaged(packed_zip(PAGES), 50), UnreadableFile, "decompressing"),
    "zip, lzma": ("a.zip", damaged(packed_zip(PAGES, zipfile.ZIP_LZMA), 60), UnreadableFile, "Corrupt"),
    "zip, bzip2": ("a.zip", damaged(packed_zip(PAGES, zipfile.ZIP_BZIP2), 60), UnreadableFile, "Invalid data"),
    "zip, cut off": ("a.zip", packed_zip(PAGES)[:-40], UnreadableFile, "truncated"),
    "tar.gz": ("a.tar.gz", damaged(packed_tar(PAGES, "w:gz"), 200), UnreadableFile, "decompressing"),
    "tar.gz, cut off": ("a.tar.gz", packed_tar(PAGES, "w:gz")[:-30], UnreadableFile, "ended before"),
    "tar.gz, cut off at once": ("a.tar.gz", packed_tar(PAGES, "w:gz")[:30], UnreadableFile, "ended before"),
    "tar.xz": ("a.tar.xz", damaged(packed_tar(PAGES, "w:xz"), 200), UnreadableFile, "Corrupt"),
    "tar.bz2": ("a.tar.bz2", damaged(packed_tar(PAGES, "w:bz2"), 200), UnreadableFile, "a.tar.bz2"),
    "tar.zst": ("a.tar.zst", zstd(packed_tar(PAGES)), UnreadableFile, "zstd are not supported"),
    "parquet, not UTF-8": ("a.parquet", parquet(pyarrow.table({"text": NOT_UTF_8})), UnreadableFile, "not UTF-8"),
    "parquet, nested": ("a.parquet", parquet(pyarrow.table({"text": [{"a": "b"}]})), UnreadableFile, "no column"),
    "parquet, nulls": ("a.parquet", parquet(pyarrow.table({"text": pyarrow.nulls(3)})), UnreadableFile, "no column"),
    "parquet, a column twice": ("a.parquet", parquet(TWICE), UnreadableFile, "occurs twice"),
    "parquet, licence a time": (
        "a.parquet",
        parquet(pyarrow.table({"text": [TEXT], "Licence": pyarrow.array([1], pyarrow.timestamp("ns"))})),
        UnreadableFile,
        "a licence after row 0 is no text",
    ),
    "parquet, licence a number": (
        "a.parquet",
        parquet(pyarrow.table({"text": [TEXT], "license": [1]})),
        UnreadableFile,
        "row 1: the licence is neither",
    ),
    "text twice, escaped": (
        "a.jsonl",
        b'{"text": "%s", "te\\u0078t": "%s"}\n' % (GOOD, GOOD),
        BadRow,
        "a key occurs twice",
    ),
    "text twice": ("a.jsonl", b'{"text": "%s", "text": "%s"}\n' % (GOOD, GOOD), BadRow, "a key occurs twice"),
    "licence twice": ("a.jsonl", b'{"text": "x", "license": "a", "license": "b"}\n', BadRow, "occurs twice"),
    "two licences": ("a.jsonl", lines(TEXT, licence="MIT", license="GPL"), BadRow, "different licences"),
    "licence a number": ("a.jsonl", b'{"text": "x", "license": 1}\n', BadRow, "neither a text nor a list"),
    "a number without end": ("a.jsonl", b'{"text": "x", "n": %s}\n' % (b"9" * 5000), BadRow, "not JSON"),
    "half a surrogate pair": ("a.jsonl", b'{"text": "\\ud800"}\n', BadRow, "not JSON"),
    "nested": ("a.jsonl", b'{"text": "x", "n": ' + b"[" * 9000 + b"]" * 9000 + b"}\n", BadRow, "not JSON"),
    "nested, and a key twice": (
        "a.jsonl",
        b'{"text": "x", "n": ' + b"[" * 1010 + b'{"text": 1}' + b"]" * 1010 + b"}\n",
        BadRow,
        "nested too deeply",
    ),
    "half a line": ("a.jsonl", lines(TEXT) + b"{", BadRow, "a.jsonl, line 2"),
    "no text": ("a.jsonl", b'{"texts": 1}\n', BadRow, "field 'text'"),
    "no zstd": ("a.jsonl.zst", b"no frame", UnreadableFile, "a.jsonl.zst"),
    "no parquet": ("a.parquet", b"no parquet", UnreadableFile, "a.parquet"),
    "UTF-16": ("a.jsonl", lines(TEXT).decode().encode("utf-16"), BadRow, "not JSON"),
    "gzip with a tail": ("a.jsonl.gz", gzip.compress(lines(TEXT)) + b"more", UnreadableFile, "a.jsonl.gz"),
    "gzip, wrong sum": ("a.jsonl.gz", gzip.compress(lines(TEXT))[:-8] + bytes(8), UnreadableFile, "CRC check"),
    "zstd, cut off": ("a.jsonl.zst", zstd(lines(TEXT))[:-9], UnreadableFile, "Truncated"),
    "an empty zip": ("a.zip", packed_zip([]), NotEnoughData, "1 archive without a file"),
    "nothing but zeros": ("a.bin", bytes(10_240), NotEnoughData, "1 archive without a file"),
    "no rows": ("a.jsonl", b"", NotEnoughData, "1 file without a row"),
    "no rows, packed": ("a.jsonl.zst", zstd(b""), NotEnoughData, "1 file without a row"),
    "an archive in an archive": ("a.zip", packed_zip([("b.zip", packed_zip(PAGES))]), NotEnoughData, "1 binary"),
    "half of UTF-16": ("a.txt", TEXT.encode("utf-16-le")[:-1], NotEnoughData, "1 binary"),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("with_others", [False, True])
def test_bad_input_is_reported_or_counted(
    case: tuple[str, bytes, type[TapeoutError], str], with_others: bool, tmp_path: Path
) -> None:
    name, content, error, words = case
    source = tmp_path / "source"
    source.mkdir()
    (source / name).write_bytes(content)
    if with_others:
        (source / "good.txt").write_bytes(GOOD)
    if with_others and error is NotEnoughData:
        rows, report = build(source, tmp_path / "output")
        (reason, count), *more = report["dropped"].items()
        assert len(rows) == 1 and words == f"{count} {reason}" and not more
        return
    with pytest.raises(error, match=words) as error_info:
        build(source, tmp_path / "output")
    assert "\n  fix: " in str(error_info.value) and str(tmp_path) not in str(error_info.value)


@pytest.mark.parametrize(
    ("field", "twice"), [("té", b'{"t\xc3\xa9": "x", "t\\u00e9": "y"}\n'), ("a/b", b'{"a/b": "x", "a\\/b": "y"}\n')]
)
def test_the_text_field_of_any_name_occurs_once(field: str, twice: bytes, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.jsonl").write_bytes(twice)
    with pytest.raises(BadRow, match="a key occurs twice"):
        build(source, tmp_path / "output", include=["*"], field=field)
    (source / "a.jsonl").write_bytes(lines(TEXT, licence=TEXT))
    ((row,), _) = build(source, tmp_path / "other", include=["*"], field="licence")
    assert (row["text"], row["licence"]) == (TEXT, "MIT")


def test_licences_of_rows_override_that_of_the_source(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    rows = [
        *(lines(f"{TEXT} {number}", **more) for number, more in enumerate(({}, {"licence": "", "license": "MIT"}))),
        lines(f"{TEXT} both", license=["MIT", "ISC"]),  # type: ignore[arg-type]
        lines(f"{TEXT} forbidden", license=["MIT", "GPL"]),  # type: ignore[arg-type]
        lines(f"{TEXT} forbidden", licence="", license="GPL"),
        lines(f"{TEXT} forbidden", Licenses=["GPL"]),  # type: ignore[arg-type]
    ]
    (source / "rows.jsonl").write_bytes(b"".join(rows))
    table = {"text": [f"{TEXT} in a table", f"{TEXT} forbidden"], "LICENSE": [["ISC"], ["GPL"]]}
    (source / "rows.parquet").write_bytes(parquet(pyarrow.table(table)))
    rows_written, report = build(source, tmp_path / "output", licences=["MIT", "ISC"])
    assert sorted(row["licence"] for row in rows_written) == ["ISC", "ISC AND MIT", "MIT", "MIT"]
    assert not any("forbidden" in row["text"] for row in rows_written)
    assert report["dropped"] == {"licence not allowed": 4}
    assert report["licences"] == {"ISC": 1, "ISC AND MIT": 1, "MIT": 2}


def test_joined_licences() -> None:
    assert joined_licence([None, ""]) == joined_licence([[], [None]]) == ""
    assert joined_licence(["MIT", ["MIT"]]) == "MIT" and joined_licence([["b", "a", "b"]]) == "a AND b"
    assert joined_licence([" MIT ", ["MIT\n"]]) == "MIT"
    assert (
        is_allowed("x", frozenset()) and is_allowed("a AND b", frozenset("ab")) and not is_allowed("a", frozenset("b"))
    )
    assert not is_allowed("a AND c", frozenset("ab"))


def test_file_names_that_are_not_utf_8_and_upper_case_suffixes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / os.fsdecode(b"a\xff.txt")).write_bytes(f"{TEXT} file".encode())
    (source / "b.tar").write_bytes(packed_tar([("in/a\udcff\nb.txt", f"{TEXT} member".encode())]))
    (source / "C.JSONL").write_bytes(b"\xef\xbb\xbf" + lines(f"{TEXT} rows"))
    (source / "D.TXT.GZ").write_bytes(gzip.compress(f"{TEXT} packed".encode()))
    rows, report = build(source, tmp_path / "output")
    assert {row["text"].removeprefix(TEXT): row["path"] for row in rows} == {
        " file": "a\\xff.txt",
        " member": "in/a\\xff\\nb.txt",
        " rows": "C.JSONL",
        " packed": "D.TXT.GZ",
    }
    assert report["repaired"] == {"byte-order mark, utf-8": 1} and not report["dropped"]


def test_random_damage_raises_no_other_exception(tmp_path: Path) -> None:
    """Truncate and change files at random."""
    table = {"text": [TEXT, f"{TEXT} 2", None] * 9, "license": ["MIT", None, "x"] * 9}
    whole = {
        "a.zip": packed_zip([*PAGES[:3], ("r.jsonl", lines(TEXT))]),
        "b.zip": packed_zip([("a.parquet", parquet(pyarrow.table(table)))]),
        "a.tar": packed_tar([*PAGES[:2], ("é" * 120 + ".txt", GOOD)]),
        "a.tar.xz": packed_tar(PAGES[:3], "w:xz"),
        "a.jsonl.gz": gzip.compress(lines(TEXT, f"{TEXT} 1")),
        "a.txt.zst": zstd(GOOD),
        "a.parquet": parquet(pyarrow.table(table)),
        "a.jsonl": lines(TEXT, f"{TEXT} 1", license="MIT"),
    }
    draw = random.Random(5)
    reported = 0
    for number in range(800):
        name = draw.choice(sorted(whole))
        content = bytearray(whole[name])
        if draw.random() < 0.3:
            del content[draw.randrange(len(content)) :]
        for _ in range(draw.choice([1, 1, 2, 5, 20]) if content else 0):
            edge = min(60, len(content))
            offset = draw.choice([draw.randrange(len(content)), draw.randrange(edge), -1 - draw.randrange(edge)])
            content[offset] = draw.choice([0, 255, draw.randrange(256), content[offset] ^ 1 << draw.randrange(8)])
        source = tmp_path / str(number) / "source"
        source.mkdir(parents=True)
        (source / name).write_bytes(content)
        try:
            build(source, tmp_path / str(number) / "output")
        except TapeoutError:
            reported += 1
    assert reported > 400


def test_rows_in_an_archive_are_streamed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    row = lines(TEXT * 1000)
    with (
        zipfile.ZipFile(source / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("rows.jsonl", "w", force_zip64=True) as stream,
    ):
        for _ in range(4000):
            stream.write(row)
    program = (
        "import resource, sys; from pathlib import Path; from tapeout.config.pretraining import DocumentsJob;"
        "from tapeout.data.io.readers import raw_documents; from collections import Counter;"
        "job = DocumentsJob(source='s', component='c', licence='MIT', licences=(), shards=1);"
        "print(sum(len(raw.content) for raw in raw_documents(Path(sys.argv[1]), job, 'text', Counter())),"
        "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    done = subprocess.run([sys.executable, "-c", program, source], cwd=ROOT, capture_output=True, text=True, check=True)
    size, memory = map(int, done.stdout.split())
    assert size == 4000 * len(row) > 300_000_000 and memory < 200


def test_a_source_without_documents_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with pytest.raises(NotEnoughData, match="it has no file"):
        build(source, tmp_path / "first")
    (source / "a.txt").write_bytes(GOOD)
    tried: list[dict[str, Any]] = [{"include": ["*.v"]}, {"licences": ["ISC"]}, {"min_characters": 999}]
    for number, options in enumerate(tried):
        with pytest.raises(NotEnoughData, match="Source s has no usable document .left out: 1 "):
            build(source, tmp_path / str(number), **options)


def test_long_lines_do_not_fill_the_memory(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "rows.jsonl").open("wb") as stream:
        for number in range(6):
            stream.write(b'{"text": "%s", "license": "ISC", "more": "' % f"{TEXT} {number}".encode())
            for _ in range(100):
                stream.write(b"x" * 1_000_000)
            stream.write(b'"}\n{"text": "' + b"y" * 20_000_000 + b'"}\n')
    program = (
        "import resource, sys; from pathlib import Path; from tests.data.shards.test_documents import build;"
        "rows, report = build(Path(sys.argv[1]), Path(sys.argv[2]));"
        "print(len(rows), rows[0]['licence'], report['dropped']['too large'],"
        "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    words = [sys.executable, "-c", program, source, tmp_path / "output"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    rows, licence, dropped, memory = done.stdout.split()
    assert (rows, licence, dropped) == ("6", "ISC", "6") and int(memory) < 700
