"""The same tree gives the same archive, and no archive can write outside of its folder."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from tapeout.guard.errors import UnusableModel
from tapeout.guard.tar import unpack
from tapeout.nemo.archive import pack

pytestmark = pytest.mark.environment("nemo")


def tree(folder: Path, order: list[str], mode: int, time: int) -> Path:
    for name in order:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
        path.chmod(mode)
        os.utime(path, (time, time))
    return folder


def test_bytes_depend_on_the_tree_alone(tmp_path: Path) -> None:
    names = ["weights/b", "weights/.metadata", "context/io.json"]
    pack(tree(tmp_path / "one", names, 0o600, 1_000_000), tmp_path / "one.nemo")
    pack(tree(tmp_path / "elsewhere" / "two", names[::-1], 0o664, 2_000_000), tmp_path / "two.nemo")
    assert (tmp_path / "one.nemo").read_bytes() == (tmp_path / "two.nemo").read_bytes()
    with tarfile.open(tmp_path / "one.nemo") as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members} == {(0, 0, 0, "")}


def test_round_trip(tmp_path: Path) -> None:
    pack(tree(tmp_path / "one", ["a/b/c", "d"], 0o644, 1), tmp_path / "one.nemo")
    unpack(tmp_path / "one.nemo", tmp_path / "back")
    files = {
        path.relative_to(tmp_path / "back").as_posix() for path in (tmp_path / "back").rglob("*") if path.is_file()
    }
    assert files == {"a/b/c", "d"}
    assert (tmp_path / "back/a/b/c").read_text() == "content of a/b/c"


def test_links_are_not_packed(tmp_path: Path) -> None:
    folder = tree(tmp_path / "one", ["a"], 0o644, 1)
    (folder / "link").symlink_to("a")
    with pytest.raises(UnusableModel, match="link"):
        pack(folder, tmp_path / "one.nemo")


def test_an_empty_folder_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    with pytest.raises(UnusableModel, match="contains no file"):
        pack(tmp_path / "empty", tmp_path / "one.nemo")


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "unsafe",
    [
        entry("../outside"),
        entry("/outside"),
        entry("inner/../../outside"),
        entry("link", tarfile.SYMTYPE, "/etc/passwd"),
        entry("hard", tarfile.LNKTYPE, "good"),
        entry("pipe", tarfile.FIFOTYPE),
        entry("device", tarfile.CHRTYPE),
        entry("good"),
    ],
    ids=lambda member: f"{member.name}-{member.type.decode()}",
)
def test_unsafe_members_are_refused_and_nothing_is_written(tmp_path: Path, unsafe: tarfile.TarInfo) -> None:
    with tarfile.open(tmp_path / "unsafe.nemo", "w") as tar:
        tar.addfile(entry("good"), io.BytesIO())
        tar.addfile(unsafe, io.BytesIO())
    with pytest.raises(UnusableModel):
        unpack(tmp_path / "unsafe.nemo", tmp_path / "place" / "back")
    assert not (tmp_path / "place").exists()
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("cut", [0, 700])
def test_damaged_archives_are_refused(tmp_path: Path, cut: int) -> None:
    pack(tree(tmp_path / "one", ["a", "b"], 0o644, 1), tmp_path / "one.nemo")
    (tmp_path / "bad.nemo").write_bytes((tmp_path / "one.nemo").read_bytes()[:cut])
    with pytest.raises(UnusableModel):
        unpack(tmp_path / "bad.nemo", tmp_path / "back")
