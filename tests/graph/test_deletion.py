"""Deletion of what programs have written: any depth, any rights, any names, and nothing behind a link."""

import os
import stat
from pathlib import Path

import pytest

from tapeout.graph.deletion import delete, entries
from tapeout.graph.identity.code_tree import remove

DEPTH = 3000
"""More than the limits of recursion and of open files; its path is longer than the system permits."""


def nest(folder: Path, depth: int) -> None:
    """Make folders in each other, each with a file beside the next one, as a program does that changes into them."""
    folder.mkdir(parents=True)
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        os.mkdir("nested", dir_fd=here)
        below = os.open("nested", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@pytest.mark.parametrize("ignore_errors", [False, True])
def test_deep_folders(tmp_path: Path, ignore_errors: bool) -> None:
    nest(tmp_path / "deep", DEPTH)
    found = [stat.S_ISDIR(info.st_mode) for _, _, info in entries(tmp_path / "deep")]
    assert (sum(found), len(found)) == (DEPTH + 1, 2 * DEPTH + 1)
    before = len(list(Path("/proc/self/fd").iterdir()))
    delete(tmp_path / "deep", ignore_errors)
    assert not list(tmp_path.iterdir()) and len(list(Path("/proc/self/fd").iterdir())) == before


def test_links_rights_and_names(tmp_path: Path) -> None:
    kept, folder = tmp_path / "kept", tmp_path / "folder"
    kept.mkdir()
    (kept / "file").write_text("kept")
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/link").symlink_to(kept)
    (folder / "a/b/broken").symlink_to("nowhere")
    os.link(kept / "file", folder / "a/b/hard")
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"\xff\n")).mkdir()
    (folder / "a/b").chmod(0)
    (folder / "a").chmod(0o500)
    (tmp_path / "top").symlink_to(kept)
    for path in ("folder", "top", "missing", "missing/too"):
        delete(tmp_path / path)
        assert not os.path.lexists(tmp_path / path)
    assert (kept / "file").read_text() == "kept" and stat.S_IMODE(kept.stat().st_mode) == 0o755
    delete(kept / "file")
    assert not list(kept.iterdir())


def test_what_cannot_be_deleted_is_named_or_left(tmp_path: Path) -> None:
    """A mount point, such as ``/proc``, is never empty; a file in place of a folder on the way there is an error."""
    with pytest.raises(OSError, match=r"/proc/sys/kernel"):
        delete(Path("/proc/sys/kernel/ostype"))
    delete(Path("/proc/sys/kernel/ostype"), ignore_errors=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        delete(tmp_path / "file/name")


def test_trees_of_code_are_deleted_whatever_they_have_become(tmp_path: Path) -> None:
    nest(tmp_path / "tree", 1500)
    (tmp_path / "tree").chmod(0o555)
    remove(tmp_path / "tree")
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link", "missing"):
        remove(tmp_path / name)
    assert not list(tmp_path.iterdir())
