"""Operations that a disk refuses are named errors with the path that was written."""

import errno
import logging
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from tapeout.graph import named_runs
from tapeout.graph.errors import InvalidFolder, NotAPlainFile, NotWritable
from tapeout.graph.files import disk_error, error_in, report_disk_errors, write_atomically
from tapeout.graph.run.log_filter import install_filter
from tapeout.graph.run.run_record import RunRecord
from tapeout.graph.store.roots import registered
from tapeout.graph.upkeep.verify import Finding, verify
from tapeout.program import DiskFull
from tests.graph.folders import FINISHED, folder, make


@pytest.mark.parametrize(
    ("number", "error"),
    [
        *((number, DiskFull) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)),
        *((number, NotWritable) for number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO)),
        *((number, NotWritable) for number in (errno.ESTALE, errno.ENOTCONN, errno.EBUSY)),
    ],
)
def test_what_a_disk_refuses_has_a_name_and_the_path_that_is_written(number: int, error: type[Exception]) -> None:
    of_copy = OSError(number, "x", "/full of inputs", None, "/full")
    for found in (disk_error(of_copy), error_in(f"Traceback:\n  ...\n{of_copy}\n")):
        assert isinstance(found, error) and "/full" in found.cause and "inputs" not in found.cause
    assert disk_error(OSError(errno.ENOENT, "x", "/y")) is None and error_in("KeyError: 3") is None


def test_a_folder_of_the_system_takes_no_files() -> None:
    with pytest.raises(NotWritable, match="/proc/x cannot be created"), report_disk_errors():
        Path("/proc/x").mkdir()


def test_what_is_of_another_kind_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("gone").symlink_to("/mnt/none")
    Path("circle").symlink_to("circle")
    for path, cause in (
        ("file/below/x", "file is not a folder"),
        ("file/x", "file is not a folder"),
        ("gone", "gone is a link to /mnt/none, which does not exist"),
        ("gone/x", "gone is a link to /mnt/none, which does not exist"),
        ("circle/x", "circle is a link to circle, which does not exist"),
        ("n" * 300, "nnn is too long"),
    ):
        with pytest.raises(InvalidFolder, match=cause), report_disk_errors():
            Path(path).mkdir(parents=True, exist_ok=True)
    Path("deep").symlink_to(tmp_path / "none" / "none")
    with pytest.raises(InvalidFolder, match="deep is a link to .*, which does not exist"), report_disk_errors():
        Path("deep").touch()
    assert disk_error(OSError(errno.ENOENT, "x", "file")) is None, "its interpreter is missing"
    Path("folder").mkdir()
    for path, cause in (("file/x", "file is not a folder"), ("folder", "folder is a folder, and a file is needed")):
        with pytest.raises(OSError) as found:
            write_atomically(Path(path), b"")
        assert cause in disk_error(found.value).cause  # type: ignore[union-attr]
        assert cause in error_in(f"Traceback:\n  ...\n{found.value}\n").cause  # type: ignore[union-attr]


def test_a_file_that_cannot_be_written_completely_leaves_nothing(tmp_path: Path) -> None:
    path, limit = tmp_path / "folder" / "run.json", resource.getrlimit(resource.RLIMIT_FSIZE)
    write_atomically(path, b"old")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))  # Python ignores SIGXFSZ
    try:
        with pytest.raises(DiskFull, match=str(path)), report_disk_errors():
            write_atomically(path, bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert [file.read_bytes() for file in path.parent.iterdir()] == [b"old"]


def test_an_exception_in_the_callback_of_a_job_reaches_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", True)
    told, errors = threading.Event(), []
    scheduler = SimpleNamespace(executor_error_callback=lambda error: (errors.append(error), told.set()))
    install_filter(SimpleNamespace(scheduler=scheduler), True, lambda: False)
    broken = ZeroDivisionError("in a callback")

    def fail(future: object) -> None:
        raise broken

    with ThreadPoolExecutor() as pool:
        pool.submit(int).add_done_callback(fail)
    assert told.wait(60) and errors == [broken]


def test_full_disks_of_all_temporary_folders(tmp_path: Path) -> None:
    program = "import tempfile; from tapeout.graph.files import report_disk_errors\n"
    program += "with report_disk_errors(): tempfile.gettempdir()"
    command = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", sys.executable, "-c", program]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert "NotWritable: No folder for temporary files can be written" in done.stderr and "set TMPDIR" in done.stderr


def test_a_pipe_in_place_of_a_file_is_named_or_healed_and_not_waited_for(tmp_path: Path) -> None:
    workspace = folder(tmp_path, tmp_path / "store")
    action = make(workspace, "a", "text").action
    named_runs.save(workspace, "one", False)
    with workspace.store.lock_action("0" * 64), workspace.lock_results(), workspace.store.collecting():
        workspace.store.append_journal({"artifact": "a", "action": "x", "finished": FINISHED})
    (workspace.graph / "plan.json").write_text('{"forced": []}')
    (workspace.graph / "run.json").write_text("{}")
    uses: list[Callable[[], object]] = [
        lambda: verify(workspace, [], deep=True),
        lambda: make(workspace, "a", "text"),
        lambda: workspace.root.register(),
        lambda: action in workspace.root.wanted() or pytest.fail("the collector would delete what it cannot read"),
        lambda: registered(workspace.store),
        lambda: workspace.store.append_journal({"artifact": "a", "action": "x", "finished": FINISHED}),
        lambda: named_runs.list_runs(workspace),
        lambda: RunRecord.read(workspace),
        lambda: workspace.read_forced(),
        lambda: workspace.lock_decisions().__enter__(),
        lambda: workspace.store.is_locked("0" * 64),
        lambda: workspace.store.collecting().__enter__(),
    ]
    listed = [path for name in ("results", "store", "runs") for path in sorted((tmp_path / name).rglob("*"))]
    objects = [path for path in listed if path.is_file() and path.stat().st_nlink > 1]
    for path in [path for path in listed if path.is_file() and path not in objects]:
        content, refused = path.read_bytes(), 0
        path.unlink()
        os.mkfifo(path)
        for use in uses:
            try:
                found = use()
                refused += isinstance(found, list) and any(isinstance(item, Finding) for item in found)
            except NotAPlainFile as error:
                refused += str(path) in error.cause
        assert refused or path.is_file(), f"{path} is neither refused, found nor healed"
        path.unlink()
        path.write_bytes(content)
    for path in objects:
        path.unlink()
        os.mkfifo(path)
    assert {finding.problem for finding in verify(workspace, [], deep=True)} >= {"contains something not a plain file"}
