"""Archives and streams that become far larger than they are: refused before their content is read or kept."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tapeout.data.errors import UnreadableFile
from tapeout.data.io import archives, bounded
from tapeout.data.io.archives import read_archive
from tapeout.data.io.bounded import UnpacksTooLarge, open_bounded

pytestmark = pytest.mark.environment("data")

PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
SIZE = 1 << 23


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "MIN_UNPACKED", SIZE // 2)
    monkeypatch.setattr(bounded, "MAX_RATIO", 10)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 50)


def tar(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize("suffix", PACKERS)
def test_streams_and_archives_that_grow_too_much(suffix: str, tmp_path: Path) -> None:
    pack = PACKERS[suffix]
    file = tmp_path / f"x.{suffix}"
    for size, fits in ((SIZE // 2, True), (SIZE // 2 + 1, False), (SIZE, False)):
        file.write_bytes(pack(bytes(size)))
        with open_bounded(file) as stream:
            if fits:
                assert len(stream.read()) == size
            else:
                with pytest.raises(UnpacksTooLarge, match=f"more than {SIZE // 2:,} bytes"):
                    while stream.read(1 << 16):
                        pass
    archive = tmp_path / f"x.tar.{suffix}"
    archive.write_bytes(pack(tar({"a.v": b"module", "b.v": bytes(SIZE)})))
    with pytest.raises(UnreadableFile, match="unpacks to more than"):
        list(read_archive(archive, lambda name, size: size < 100))
    archive.write_bytes(pack(tar({"a.v": b"module", "b.v": bytes(SIZE // 4)})))
    assert list(read_archive(archive, lambda name, size: size < 100)) == [("a.v", b"module")]


def test_members_without_end(tmp_path: Path) -> None:
    archive = tmp_path / "x.tar.gz"
    for count, fits in ((50, True), (51, False)):
        archive.write_bytes(gzip.compress(tar({f"{number}.v": b"" for number in range(count)})))
        if fits:
            assert len(list(read_archive(archive, lambda name, size: True))) == count
        else:
            with pytest.raises(UnreadableFile, match="more than 50 members"):
                list(read_archive(archive, lambda name, size: True))


def test_a_zip_whose_members_are_too_much_together(tmp_path: Path) -> None:
    archive = tmp_path / "x.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(4):
            packed.writestr(f"{number}.v", bytes(SIZE // 6))
    read = []
    with pytest.raises(UnreadableFile, match="unpacks to more than"):
        read.extend(name for name, _ in read_archive(archive, lambda name, size: True))
    assert [name for name, _ in read_archive(archive, lambda name, size: name < "3")] == ["0.v", "1.v", "2.v"]
