"""A step whose input is damaged, or changes while it runs, fails, and its result is not stored."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tapeout.graph.errors import InputChanged
from tapeout.graph.identity.action import Recipe, Reference
from tapeout.graph.run.inputs import Inputs
from tapeout.graph.run.run_record import RUN
from tapeout.graph.workspace import State, Workspace
from tests.graph.conftest import ALL, Project
from tests.graph.folders import folder, make
from tests.graph.run.test_runner import flip

INPUTS = {"read": Reference("read"), "part": [Reference("folder", "in")], "after_other": Reference("other")}
RECIPE = Recipe("new", "rule", "script.py", {"script.py": "0" * 64}, "e", "1" * 64, {}, INPUTS)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with the inputs of ``RECIPE``."""
    workspace = folder(tmp_path, tmp_path / "store")
    for name in ("read", "other"):
        make(workspace, name, f"{name}\n")
    make(workspace, "folder", {"in/a": "a", "in/b": "b", "out": "c"})
    return workspace


def inputs(workspace: Workspace) -> Inputs:
    """Return the inputs of ``RECIPE``, with the manifests that they have now."""
    manifests = {name: workspace.manifest(name) for name in ("read", "folder", "other")}
    return Inputs(workspace, RECIPE, {name: found for name, found in manifests.items() if found is not None})


def put_back(path: Path) -> None:
    """Write other bytes, then the old ones, and set the old time again."""
    info, data = path.stat(), path.read_bytes()
    for content in (b"other", data):
        path.write_bytes(content)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def replace(path: Path) -> None:
    """Replace a file by a copy with the same bytes and times."""
    copy = path.with_name("copy")
    subprocess.run(["cp", "-p", path, copy], check=True)
    copy.replace(path)


@pytest.mark.parametrize("change", [flip, put_back, replace, os.utime, Path.unlink], ids=lambda change: change.__name__)
@pytest.mark.parametrize("name", ["read", "folder/in/b"])
def test_an_input_that_changes_meanwhile_is_noticed_whatever_its_bytes_are(
    workspace: Workspace, name: str, change: Callable[[Path], object]
) -> None:
    path = workspace.artifact_path(name)
    with inputs(workspace) as read:
        read.check()
        change(path)
        with pytest.raises(InputChanged, match=f"{path} of artifact {name.partition('/')[0]} "):
            read.check()


MODES = {"read": 0o444, "folder/in": 0o755, "folder/in/b": 0o444}
TIMES = {"folder/in": 946_684_800 * 10**9}


@pytest.mark.parametrize("name", MODES)
def test_modes_and_times_that_a_program_sees_do_not_depend_on_the_user(workspace: Workspace, name: str) -> None:
    path = workspace.artifact_path(name)
    expected = TIMES.get(name, path.stat().st_mtime_ns)
    path.chmod(0o700 if path.is_dir() else 0o600)
    os.utime(path)
    workspace.artifact_path("folder").chmod(0o711)  # not what the program gets
    with inputs(workspace) as read:
        assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime_ns) == (MODES[name], expected)
        read.check()
        path.chmod(0o750)
        with pytest.raises(InputChanged, match=f"{path}.* was"):
            read.check()
    assert stat.S_IMODE(workspace.artifact_path("folder").stat().st_mode) == 0o711


@pytest.mark.parametrize("umask", [0o077, 0o002])
def test_a_published_folder_has_the_same_mode_and_time_under_each_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        workspace = folder(tmp_path, tmp_path / "store")
        make(workspace, "folder", {"in/a": "a", "in/deep/b": "b"})
    finally:
        os.umask(before)
    for name in ("folder", "folder/in", "folder/in/deep"):
        info = workspace.artifact_path(name).stat()
        assert (stat.S_IMODE(info.st_mode), info.st_mtime_ns) == (0o755, 946_684_800 * 10**9)


def swapped(path: Path) -> None:
    """Move a file away, put another one in its place, and move it back."""
    saved = path.rename(path.with_name("saved"))
    path.write_text("forged")
    path.unlink()
    saved.rename(path)


def visited(path: Path) -> None:
    """Add a file to the folder of another one, and remove it."""
    new = path.with_name("new")
    new.write_text("new")
    new.unlink()


def add_folder(path: Path) -> None:
    path.with_name("empty").mkdir()


@pytest.mark.parametrize("name", ["read", "folder/in", "folder/in/b", "folder", ""])
def test_an_input_that_is_put_back_is_noticed(workspace: Workspace, name: str) -> None:
    path = workspace.results / name
    with inputs(workspace) as read:
        read.check()
        swapped(path)
        with pytest.raises(InputChanged, match=f"{path}.* was"):
            read.check()


@pytest.mark.parametrize("change", [visited, add_folder], ids=lambda change: change.__name__)
def test_a_name_that_appears_in_a_folder_is_noticed(workspace: Workspace, change: Callable[[Path], object]) -> None:
    with inputs(workspace) as read:
        for beside in ("read", "folder/out"):
            change(workspace.artifact_path(beside))
        read.check()  # not in what the program gets
        change(workspace.artifact_path("folder/in/b"))
        with pytest.raises(InputChanged, match="folder/in/(new|empty), in an input of new, was added"):
            read.check()


def test_a_file_that_was_there_before_is_noticed(workspace: Workspace) -> None:
    workspace.artifact_path("folder/in/more").mkdir()
    with inputs(workspace) as read:
        read.check()
        workspace.artifact_path("folder/in/more/new").write_text("new")
        with pytest.raises(InputChanged, match="folder/in/more/new"):
            read.check()
    with inputs(workspace) as read, pytest.raises(InputChanged, match="folder/in/more/new"):
        read.check()


NO_INOTIFY = """
import resource, sys
from pathlib import Path
from tapeout.graph.launch.inotify import Changes
limit = len(list(Path("/proc/self/fd").iterdir())) - 1
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
changes = Changes([Path(sys.argv[1])], [], Path(sys.argv[1]).parent)
print(changes.is_complete, changes.paths())
"""


def test_a_kernel_without_free_watches_is_noticed(workspace: Workspace) -> None:
    done = subprocess.run(
        [sys.executable, "-c", NO_INOTIFY, workspace.artifact_path("read")], check=True, capture_output=True, text=True
    )
    assert done.stdout == "False set()\n"


@pytest.mark.parametrize("change", [put_back, swapped, visited], ids=lambda change: change.__name__)
def test_without_watches_the_change_times_decide(workspace: Workspace, change: Callable[[Path], object]) -> None:
    with inputs(workspace) as read:
        read.changes.close()
        read.changes.is_complete = False
        read.check()
        change(workspace.artifact_path("folder/in/b"))
        with pytest.raises(InputChanged, match="folder/in"):
            read.check()


def test_what_the_program_does_not_get_may_change_and_links_are_no_change(workspace: Workspace, tmp_path: Path) -> None:
    other = folder(tmp_path / "other", tmp_path / "store")
    with inputs(workspace) as read:
        os.utime(workspace.artifact_path("folder/out"))
        os.utime(workspace.artifact_path("other"))
        for name in ("read", "folder"):
            assert other.restore(workspace.action(name)) is State.CURRENT
        assert other.artifact_path("read").samefile(workspace.artifact_path("read"))
        read.check()


@pytest.mark.parametrize("linked", [True, False], ids=["store damaged too", "store intact"])
def test_a_damaged_input_is_named_before_the_program_starts_and_noticed_afterwards(
    workspace: Workspace, linked: bool
) -> None:
    path = workspace.artifact_path("folder/in/a")
    if not linked:
        replace(path)
    flip(path)
    assert workspace.state(workspace.action("folder"))[0] is State.CURRENT, "its size and time are right"
    with pytest.raises(InputChanged, match=f"{path} of artifact folder, an input of new, is damaged"):
        inputs(workspace).__enter__()
    assert workspace.state(workspace.action("folder"))[0] is (State.BUILD if linked else State.RESTORE)


def test_a_file_is_read_once_in_a_run_while_its_times_are_the_same(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read() -> int:
        with inputs(workspace) as entered:
            return len(entered.unread)

    assert [read(), read()] == [3, 3], "a step that belongs to no run reads everything"
    for run in ("first", "second"):
        monkeypatch.setenv(RUN, run)
        assert [read(), read()] == [3, 0]
    os.link(workspace.artifact_path("read"), workspace.work / "link")
    assert [read(), read()] == [1, 0]
    workspace.verified_path("read").write_bytes(b"{")
    assert [read(), read()] == [1, 0]


def test_a_damaged_input_never_reaches_a_result(built: Project) -> None:
    first = built.digests()
    flip(built.path("results/formatted.txt"))
    built.edit("config.yaml", "lr: 1", "lr: 5")
    text = built.run(ok=False).text
    assert "✗ model  InputChanged: File results/formatted.txt of artifact formatted.txt" in text
    assert built.run().built == ["formatted.txt", "model", "report.txt"]
    built.edit("config.yaml", "lr: 5", "lr: 1")
    built.run()
    assert built.digests() == first and sorted(first) == ALL
