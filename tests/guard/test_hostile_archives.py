"""Archives that no honest program writes are refused, and nothing of them is executed or written."""

import contextlib
import gzip
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapeout.guard import names
from tapeout.guard.errors import UnusableModel
from tapeout.guard.tar import tar_members, unpack
from tapeout.guard.zip import unzip
from tests.guard import hostile


def around(scratch: Path) -> list[str]:
    """Return everything beside the scratch folder."""
    outer = scratch.parents[1]
    return sorted(str(path) for path in outer.rglob("*") if scratch not in path.parents)


@pytest.mark.parametrize("name", sorted(hostile.ARCHIVES))
def test_a_hostile_tar_is_refused_and_nothing_is_written(scratch: Path, name: str) -> None:
    refused(scratch, hostile.ARCHIVES[name], unpack)


@pytest.mark.parametrize("name", sorted(hostile.COMPRESSED))
def test_a_hostile_compressed_tar_is_refused_and_nothing_is_written(scratch: Path, name: str) -> None:
    refused(scratch, hostile.COMPRESSED[name], unpack)


@pytest.mark.parametrize("name", sorted(hostile.ZIPS))
def test_a_hostile_zip_is_refused(scratch: Path, name: str) -> None:
    late = {"bomb that announces less"}  # found when its content has another check sum than announced
    refused(scratch, hostile.ZIPS[name], unzip, written=1000 if name in late else None)


def refused(scratch: Path, data: bytes, read: Callable[[Path, Path], None], written: int | None = None) -> None:
    """Check that reading an archive raises the named error and writes nothing, or at most so many bytes."""
    (scratch / "archive").write_bytes(data)
    before = around(scratch)
    with pytest.raises(UnusableModel):
        read(scratch / "archive", scratch / "folder" / "new")
    assert around(scratch) == before
    if written is None:
        assert not (scratch / "folder").exists()
    else:
        assert sum(path.stat().st_size for path in (scratch / "folder").rglob("*") if path.is_file()) <= written


def test_an_archive_with_too_many_members_is_refused(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MAX_MEMBERS", 100)
    data = b"".join(hostile.member(f"{number}", b"") for number in range(101)) + hostile.END
    refused(scratch, data, unpack)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_archives_of_python_are_unpacked(scratch: Path, form: int, mode: str) -> None:
    """As nemo_toolkit packs a folder: with a ``.``, times with fractions, long and non-ASCII names."""
    content = {"model_config.yaml": b"a: 1", "weights/" + "x" * 90 + "/" + "y" * 60: b"z" * 3000, "empty": b""}
    if form != tarfile.USTAR_FORMAT:
        content |= {"n\u00e4me/" + "l" * 220: b"1"}
    source = scratch / "source"
    for name, data in content.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    (source / "empty").chmod(0o755)
    with tarfile.open(scratch / "archive", mode, format=form) as tar:
        tar.add(source, ".")
    unpack(scratch / "archive", scratch / "new")
    unpacked = {path.relative_to(scratch / "new").as_posix(): path for path in (scratch / "new").rglob("*")}
    assert {name: path.read_bytes() for name, path in unpacked.items() if path.is_file()} == content
    assert os.access(unpacked["empty"], os.X_OK) and unpacked["model_config.yaml"].stat().st_mode & 0o777 == 0o644


def test_a_member_of_more_than_eight_gigabytes_has_its_size_in_an_extended_header(scratch: Path) -> None:
    size = (8 << 30) + 5
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        entry = tarfile.TarInfo("weights/__0_0.distcp")
        entry.size = size
        with open(scratch / "archive", "wb") as file:
            file.write(entry.tobuf(form))
            file.truncate(file.tell() + size + -size % 512 + 1024)
        assert [(member.name, member.size) for member in tar_members(scratch / "archive")] == [(entry.name, size)]


@given(st.data())
def test_a_damaged_archive_is_read_as_before_or_refused(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    whole = bytearray(hostile.member("a/b", b"x" * 700) + hostile.member("c", b"y") + hostile.END)
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (folder / "archive").write_bytes(whole)
    with contextlib.suppress(UnusableModel):
        unpack(folder / "archive", folder / "inner" / "new")
    assert {path.name for path in folder.iterdir()} <= {"archive", "inner"}
    assert {path.name for path in folder.glob("inner/*")} <= {"new"}


def test_compressed_archives_are_measured_by_their_size(scratch: Path) -> None:
    """The bomb of the table is small: a reader that unpacks it writes two gigabytes."""
    assert len(hostile.COMPRESSED["announced gigabytes"]) < 1000
    assert len(gzip.decompress(hostile.COMPRESSED["zeros after the end"])) > 8 << 20
