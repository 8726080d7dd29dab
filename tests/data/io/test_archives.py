"""Archives are read without extracting them, and damage is reported."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tapeout.data.errors import UnreadableFile
from tapeout.data.io.archives import LINK, REPLACED, archive_errors, is_archive, members, read_archive

pytestmark = pytest.mark.environment("data")

Make = Callable[[Path, dict[str, bytes]], None]


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
def test_only_selected_ordinary_files_are_read(make: Make, tmp_path: Path) -> None:
    files = {"a.v": b"module a; endmodule", "../../b.v": b"module b; endmodule", "big.v": b"x" * 1000}
    make(tmp_path / "archive", files)
    offered = []

    def is_selected(name: str, size: int) -> bool:
        offered.append((name, size))
        return size < 100

    assert is_archive(tmp_path / "archive")
    assert dict(read_archive(tmp_path / "archive", is_selected)) == {name: files[name] for name in ("a.v", "../../b.v")}
    assert set(offered) == {(name, len(content)) for name, content in files.items()}
    assert {path.name for path in tmp_path.iterdir()} == {"archive"}


def test_folders_of_a_zip_archive_made_on_windows(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for system, name in ((0, "rtl\\a.v"), (0, "tb\\"), (3, "rtl\\b.v")):
            member = zipfile.ZipInfo(name)
            member.create_system = system
            archive.writestr(member, name)
    assert dict(read_archive(tmp_path / "a.zip", lambda name, size: True)) == {
        "rtl/a.v": b"rtl\\a.v",
        "rtl\\b.v": b"rtl\\b.v",
    }


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_is_reported_with_the_name_of_the_archive(tmp_path: Path, method: int) -> None:
    path = tmp_path / "core.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a.v", "module a; endmodule\n" * 500)
    content = path.read_bytes()
    path.write_bytes(content[:50] + b"\xff" * 15 + content[65:])
    with pytest.raises(UnreadableFile, match=r"core\.zip"):
        list(read_archive(path, lambda name, size: True))
    path.write_bytes(content[:-30])
    with pytest.raises(UnreadableFile, match=r"core\.zip cannot be read: .* truncated"):
        is_archive(path)
    path.rename(tmp_path / "core.txt")
    assert not is_archive(tmp_path / "core.txt")


@pytest.mark.parametrize("damage", ["a header", "the end"])
def test_a_tar_archive_that_ends_before_its_end_is_damaged(damage: str, tmp_path: Path) -> None:
    make_tar(tmp_path / "core.tgz", {"a.v": b"module a; endmodule", "b.v": b"module b; endmodule"})
    content = gzip.decompress((tmp_path / "core.tgz").read_bytes())
    path = tmp_path / "core.tar"
    path.write_bytes(content[:1024] + (b"\xff" * 512 + content[1536:] if damage == "a header" else b""))
    with pytest.raises(UnreadableFile, match=r"core\.tar cannot be read: it is damaged or truncated"):
        list(read_archive(path, lambda name, size: True))


@pytest.mark.parametrize("kind", ["tar", "tgz", "txz", "zip"])
def test_archives_that_were_joined_end_to_end_are_not_read_in_part(kind: str, tmp_path: Path) -> None:
    parts = []
    for name in ("a.v", "b.v"):
        path = tmp_path / f"{name}.{kind}"
        if kind == "zip":
            make_zip(path, {name: name.encode()})
        else:
            with tarfile.open(path, {"tar": "w", "tgz": "w:gz", "txz": "w:xz"}[kind]) as archive:
                member = tarfile.TarInfo(name)
                member.size = len(name)
                archive.addfile(member, io.BytesIO(name.encode()))
        parts.append(path.read_bytes())
    path = tmp_path / f"both.{kind}"
    path.write_bytes(b"".join(parts))
    with pytest.raises(UnreadableFile, match=rf"both\.{kind} cannot be read: it is several archives"):
        list(read_archive(path, lambda name, size: True))
    for around in (b"#!/bin/sh\n" + parts[0] if kind == "zip" else parts[0], parts[0] + bytes(600)):
        path.write_bytes(around)
        assert [name for name, _ in read_archive(path, lambda name, size: True)] == ["a.v"]


def test_the_checksum_of_a_compressed_tar_archive_is_compared(tmp_path: Path) -> None:
    make_tar(tmp_path / "core.tgz", {"a.v": b"module a; endmodule"})
    plain = gzip.decompress((tmp_path / "core.tgz").read_bytes())
    path = tmp_path / "core.tar.gz"
    path.write_bytes(gzip.compress(plain, compresslevel=0).replace(b"module a;", b"module b;"))
    with pytest.raises(UnreadableFile, match=r"core\.tar\.gz cannot be read: CRC check failed"):
        list(read_archive(path, lambda name, size: True))
    path.write_bytes(gzip.compress(plain)[:-4])
    with pytest.raises(UnreadableFile, match=r"core\.tar\.gz cannot be read: .* ended before"):
        list(read_archive(path, lambda name, size: True))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_the_last_member_of_a_name_counts_and_hard_links_are_files(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"core.{kind}"
    versions = [("a.v", b"old"), ("b.v", b"b"), ("./a.v", b"new"), ("last.v", b"link")]
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in versions[:-1]:
                archive.writestr(name, content)
            link = zipfile.ZipInfo("last.v")
            link.external_attr = 0o120777 << 16
            archive.writestr(link, "a.v")
    else:
        with tarfile.open(path, "w:bz2") as tar:
            for name, content in versions[:-1]:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
                hard = tarfile.TarInfo(f"of_{content.decode()}.v")
                hard.type, hard.linkname = tarfile.LNKTYPE, name.removeprefix("./")
                tar.addfile(hard)
            for name, target, link_type in (("last.v", "a.v", tarfile.SYMTYPE), ("c.v", "none.v", tarfile.LNKTYPE)):
                other = tarfile.TarInfo(name)
                other.type, other.linkname = link_type, target
                tar.addfile(other)
    skipped: list[tuple[str, str]] = []
    with archive_errors(path):
        read = {name: stream.read() for name, stream in members(path, lambda *_: True, lambda *of: skipped.append(of))}
    links = {"of_old.v": b"old", "of_b.v": b"b", "of_new.v": b"new"} if kind == "tar" else {}
    assert read == {"b.v": b"b", "./a.v": b"new", **links}
    dangling = [("c.v", LINK)] if kind == "tar" else []
    assert skipped == [("a.v", REPLACED), ("last.v", LINK), *dangling]
