"""Archives are read without extracting them, and damage is reported."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tapeout.data.errors import UnreadableFile
from tapeout.data.io.archives import is_archive, read_archive

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
