"""A full file system is named by its mount point, whatever path a program saw."""

import os
import re
from pathlib import Path

import pytest

from tapeout.errors import fullest
from tapeout.graph.disk_space import FileSystem, disk_full, disk_full_in
from tapeout.program import DiskFull

SPACE = r"\d[\d.]* k?M?G?T?B free of \d[\d.]* k?M?G?T?B"


def test_the_file_system_of_a_path(tmp_path: Path) -> None:
    proc = FileSystem.of(Path("/proc/self/missing/file"))
    assert proc == FileSystem(Path("/proc"), 0, 0)
    here = FileSystem.of(tmp_path)
    assert os.path.ismount(here.mount) and tmp_path.is_relative_to(here.mount) and 0 < here.free < here.size
    (tmp_path / "link").symlink_to("/proc")
    assert FileSystem.of(tmp_path / "link" / "x") == proc


def test_what_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a folder without a run
    for name in ("TAPEOUT_STORE", "TAPEOUT_DOWNLOADS", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    own = f"No space is left on the file system at {FileSystem.of(tmp_path).mount} ({tmp_path}/x): "
    assert re.fullmatch(re.escape(own) + SPACE + r"\.", disk_full(f"{tmp_path}/x").cause)
    assert re.fullmatch(re.escape(own) + SPACE + ", a quota.", disk_full(f"{tmp_path}/x", "a quota").cause)
    program = str(DiskFull.of(OSError(28, "x", f"{tmp_path}/x"))).splitlines()[0]
    assert str(disk_full_in(program)) == str(disk_full(f"{tmp_path}/x"))
    assert disk_full_in("KeyError: 3") is None
    monkeypatch.setenv("TMPDIR", "/proc/self")  # has no space at all
    for path in (None, "/seen/by/the/program/alone", f"{tmp_path}/x"):
        assert "file system at /proc (/proc/self): 0 B free of 0 B." in disk_full(path).cause
    assert own in disk_full(f"{tmp_path}/x", "a quota").cause, "a quota has nothing to do with other file systems"
    assert fullest([tmp_path, Path("/proc"), tmp_path / "missing"]) == Path("/proc")
