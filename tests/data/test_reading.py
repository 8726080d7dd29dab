"""Archives, JSON Lines and documents: hostile, broken and odd inputs."""

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tapeout.config.corpus import Selection
from tapeout.data.corpus.documents import Tally, read_source
from tapeout.data.io.archives import UnreadableFile, is_archive, read_archive
from tapeout.data.io.jsonl import MalformedRow, read_jsonl, write_jsonl
from tapeout.data.io.text import beginning
from tapeout.data.rtl.comments import skeleton, strip_comments

pytestmark = pytest.mark.environment("data")

EVERYTHING = Selection(include=("*",), min_characters=1)


def make_tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("link.v")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        folder = tarfile.TarInfo("folder.v")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)


def make_zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        link = zipfile.ZipInfo("link.v")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.mkdir("folder.v")


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_only_wanted_ordinary_files_are_read(make: object, tmp_path: Path) -> None:
    files = {"a.v": b"module a; endmodule", "../../b.v": b"module b; endmodule", "big.v": b"x" * 1000}
    make(tmp_path / "archive", files)  # type: ignore[operator]
    asked = []

    def wanted(name: str, size: int) -> bool:
        asked.append((name, size))
        return size < 100

    assert is_archive(tmp_path / "archive")
    assert dict(read_archive(tmp_path / "archive", wanted)) == {name: files[name] for name in ("a.v", "../../b.v")}
    assert set(asked) == {(name, len(content)) for name, content in files.items()}
    assert {each.name for each in tmp_path.iterdir()} == {"archive"}


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_damaged_archives_are_named(make: object, tmp_path: Path) -> None:
    path = tmp_path / "archive"
    make(path, {"a.v": bytes(range(256)) * 40})  # type: ignore[operator]
    content = bytearray(path.read_bytes())
    content[60:70] = b"\xff" * 10
    path.write_bytes(content if make is make_zip else content[: len(content) // 2])
    with pytest.raises(UnreadableFile, match="archive"):
        list(read_archive(path, lambda name, size: True))


def test_damage_that_is_not_the_archives_own_is_named(tmp_path: Path) -> None:
    """Wrong bytes that decompress to nothing, of each method; and archives that are no longer any."""
    path = tmp_path / "core.zip"
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("a.v", "module a; endmodule\n" * 500)
        whole = path.read_bytes()
        path.write_bytes(whole[:50] + b"\xff" * 15 + whole[65:])
        with pytest.raises(UnreadableFile, match="core.zip"):
            list(read_archive(path, lambda name, size: True))
        path.write_bytes(whole[:-30])
        with pytest.raises(UnreadableFile, match="core.zip cannot be read: .* truncated"):
            read_source("core", tmp_path, EVERYTHING, Tally())
    path.rename(tmp_path / "core.txt")
    assert not is_archive(tmp_path / "core.txt")


def test_jsonl_is_canonical(tmp_path: Path) -> None:
    assert write_jsonl(tmp_path / "a.jsonl", [{"b": "ü", "a": 1}]) == 1
    assert (tmp_path / "a.jsonl").read_bytes() == '{"a":1,"b":"ü"}\n'.encode()
    assert list(read_jsonl(tmp_path / "a.jsonl", ("b",))) == [{"a": 1, "b": "ü"}]


def test_a_failing_write_leaves_no_file(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield {"a": 1}
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_jsonl(tmp_path / "a.jsonl", rows())
    assert list(tmp_path.iterdir()) == []
    write_jsonl(tmp_path / "a.jsonl", [{"a": 1}])
    assert [each.name for each in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_beginning_ends_at_a_line_or_character() -> None:
    assert beginning("ab\ncd\nef", 100) == "ab\ncd\nef"
    assert beginning("ab\ncd\nef", 7) == "ab\ncd\n" == beginning("ab\ncd\nef", 6)
    assert beginning("éééé", 5) == "éé"
    assert beginning("äöüß", 3) == "ä"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('{"text": "a"}\n{"text": "b"\n', 2),
        ('{"text": "a"}\n\n{"text": "b"}\n', 2),
        ('{"text": "a"}\n["text"]\n', 2),
        ('{"text": "a"}\n{"txt": "b"}\n', 2),
        ('{"text": 3}\n', 1),
        ('{"text": "\ud800"}\n', 1),
    ],
)
def test_malformed_rows_are_named_with_their_line(tmp_path: Path, content: str, line: int) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(MalformedRow, match=rf"rows\.jsonl, line {line}:"):
        list(read_jsonl(path, ("text",)))


def test_empty_lines_at_the_end_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n\n\n')
    assert len(list(read_jsonl(tmp_path / "rows.jsonl"))) == 1


def test_a_source_of_every_form(tmp_path: Path) -> None:
    make_zip(tmp_path / "core.whl", {"z/b.v": b"module b;\r\nendmodule", "a/latin.v": "// Jürgen".encode("latin-1")})
    (tmp_path / "rows.jsonl").write_text('{"text": "first row"}\n{"text": "second"}\n')
    (tmp_path / "plain.md").write_bytes(b"\xef\xbb\xbf# Title")
    (tmp_path / "binary.v").write_bytes(b"\0\1\2")
    (tmp_path / "empty.v").write_bytes(b" \n ")
    tally = Tally()
    found = {each.path: each.text for each in read_source("core", tmp_path, EVERYTHING, tally)}
    assert found == {
        "a/latin.v": "// Jürgen",
        "plain.md": "# Title",
        "rows.jsonl:1": "first row",
        "rows.jsonl:2": "second",
        "z/b.v": "module b;\nendmodule",
    }
    assert list(found) == sorted(found)
    assert tally.dropped == {"binary": 1, "too short": 1}
    assert tally.repaired == {"not UTF-8, read as Latin-1": 1, "line ends": 1}


def test_patterns_and_the_cap_decide(tmp_path: Path) -> None:
    names = ("x/a.v", "coremark/b.v", "c.txt", "big.v")
    make_zip(tmp_path / "core.whl", {name: b"y" * (2000 if name == "big.v" else 100) for name in names})
    tally = Tally()
    chosen = Selection(include=("*.v",), exclude=("*coremark*",), max_bytes=1999)
    assert [each.path for each in read_source("core", tmp_path, chosen, tally)] == ["x/a.v"]
    assert tally.dropped == {"excluded": 1, "other kind": 1, "too large": 1}


def test_comments_go_but_not_from_strings() -> None:
    text = 'a = "//no"; // yes\nb /* x\ny */ = "/*\\"*/"; /* end'
    assert strip_comments(text) == 'a = "//no"; \nb   = "/*\\"*/"; /* end'


def test_skeletons_of_edited_copies_are_equal() -> None:
    assert skeleton("module m; // old\nendmodule", verilog=True) == skeleton("module m;endmodule", verilog=True)
    assert skeleton("see http://a", verilog=False) != skeleton("see http://b", verilog=False)
