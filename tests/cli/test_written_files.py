"""Folders that commands write into: all files or none, and nothing among the results."""

import errno
from pathlib import Path

import pytest

from tapeout.cli import written_files
from tapeout.cli.options import InvalidUse
from tapeout.cli.written_files import check_folder, write_all
from tapeout.errors import TapeoutError
from tapeout.graph.errors import InvalidFolder
from tapeout.graph.workspace import Workspace
from tests.graph.folders import folder

NAMES = ("a.html", "b.json", "c.md")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    here = folder(tmp_path, tmp_path / "store")
    for path in ("results/eval_report", "folder/c.md", "good", "broken"):
        Path(path).mkdir(parents=True)
    Path("file").write_text("")
    Path("other/results/eval_report").mkdir(parents=True)
    Path("other/results/eval_report.manifest.json").write_text("{}")
    Path("good/a.html").write_text("before")
    Path("link").symlink_to("results/eval_report")
    Path("broken/b.json").symlink_to("nothing")
    return here


@pytest.mark.parametrize(
    ("path", "error"),
    [
        *(
            (path, InvalidUse)
            for path in ("results", "results/eval_report", "results/new", "good/../results", "link/x")
        ),
        *(
            (path, InvalidUse)
            for path in ("store/x", "work/x", "runs/before/eval_report", "other/results/eval_report/x")
        ),
        *((path, InvalidFolder) for path in ("file", "file/x", "folder", "broken", "broken/b.json")),
    ],
)
def test_refused_folders_stay_as_they_are(here: Workspace, path: str, error: type[TapeoutError]) -> None:
    before = sorted(Path().rglob("*"))
    with pytest.raises(error):
        check_folder(here, Path(path), NAMES)
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("path", ["good", "new/deep", ".", "good/../other"])
def test_files_are_written(here: Workspace, path: str) -> None:
    check_folder(here, Path(path), NAMES)
    write_all(Path(path), {name: name.encode() for name in NAMES})
    assert all((Path(path) / name).read_text() == name for name in NAMES)
    assert not [file for file in Path(path).iterdir() if file.name.endswith(".tmp")]


@pytest.mark.parametrize("number", range(len(NAMES)))
def test_a_full_disk_leaves_what_was_there(here: Workspace, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == number + 1:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(written_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_all(Path("good"), dict.fromkeys(NAMES, b"after"))
    assert [file.name for file in Path("good").iterdir()] == ["a.html"]
    assert Path("good/a.html").read_text() == "before"
