"""Garbage collection: what is deleted and what is kept, also during builds and after kills."""

import fcntl
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tapeout.graph.errors import RequestRefused, UnreadableState
from tapeout.graph.identity.action import Action
from tapeout.graph.identity.manifest import Manifest
from tapeout.graph.named_runs import list_runs, protect, save
from tapeout.graph.store.roots import Root
from tapeout.graph.store.store import Store
from tapeout.graph.upkeep.gc import DAY, GcOptions, GcReport, collect
from tapeout.graph.upkeep.verify import verify
from tapeout.graph.workspace import State, Workspace
from tests.graph.conftest import Project, begin_slow_model
from tests.graph.folders import FINISHED, folder, make, workspace_of


def run_gc(workspace: Workspace, dry_run: bool = False, later: float = 0.0, **options: object) -> GcReport:
    return collect(workspace, GcOptions(**options), dry_run, time.time() + later)  # type: ignore[arg-type]


def counts(collected: GcReport) -> dict[str, int]:
    return {removal.kind: len(removal.names) for removal in collected.removed}


def files(store: Store) -> list[str]:
    """Return all files of a store without locks and roots."""
    found = (path.relative_to(store.root).as_posix() for path in store.root.rglob("*") if path.is_file())
    return sorted(name for name in found if not name.startswith(("locks/", "roots/", "collector.lock")))


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    """A workspace whose artifact was built twice: the first build is garbage."""
    workspace = folder(tmp_path / "here", tmp_path / "store")
    make(workspace, "kept", "old " * 100)
    make(workspace, "kept", "new")
    return workspace


def test_dry_run_reports_and_deletes_nothing(here: Workspace) -> None:
    before = files(here.store)
    planned = run_gc(here, dry_run=True)
    assert counts(planned) == {"objects": 1, "entries": 1} and planned.removed[0].size == 400
    assert files(here.store) == before
    done = run_gc(here)
    assert done.removed == planned.removed and done.kept == 1 and len(files(here.store)) == len(before) - 2
    assert run_gc(here).removed == ()
    shutil.rmtree(here.results)
    elsewhere = folder(here.work / "elsewhere", here.store.root)
    assert counts(run_gc(elsewhere)) == {"objects": 1, "entries": 1}  # no folder has any results
    assert not here.results.exists() and not elsewhere.results.exists()  # collecting creates no folders
    with pytest.raises(RequestRefused):
        run_gc(folder(here.work, here.work / "none"))


def test_file_with_another_hard_link_frees_no_space(here: Workspace, tmp_path: Path) -> None:
    old = next(path for path in here.store.root.glob("objects/*/*") if path.stat().st_size == 400)
    os.link(old, tmp_path / "elsewhere")
    assert run_gc(here).removed[0].size == 0
    assert not old.exists() and (tmp_path / "elsewhere").exists()


def test_upstream_entries_are_kept_without_files(here: Workspace) -> None:
    raw = make(here, "raw", "bytes that nobody needs any more")
    made = make(here, "made", "from raw", "raw")
    action = here.action("raw")
    for path in (here.artifact_path("raw"), here.manifest_path("raw"), here.action_path("raw")):
        path.unlink()
    assert counts(run_gc(here)) == {"objects": 2, "entries": 1}
    assert here.store.find(raw.action) == raw and not here.store.is_complete(raw)
    assert here.state(action) == (State.BUILD, None)  # it is never planned as restorable
    assert here.store.is_complete(made)


def test_named_runs_keep_their_artifacts_until_removed(here: Workspace) -> None:
    for number in range(4):
        make(here, "kept", f"{number}" * 1000)
        save(here, f"run-{number}", pinned=False)
    protect(here, "run-0", True)
    assert counts(run_gc(here)) == {"objects": 2, "entries": 2}
    assert run_gc(here, keep_runs=1, older_than=DAY).removed == ()
    planned, done = run_gc(here, dry_run=True, keep_runs=1), run_gc(here, keep_runs=1)
    assert planned.removed == done.removed and done.removed[0].kind == "named runs" and len(done.removed[0].names) == 2
    # a file is counted once, for the first kind; run.json and the manifest belong to the run, too
    assert done.removed[0].size >= 2000 and [one.size for one in done.removed if one.kind == "objects"] == [0]
    assert "run-0" in {run.name for run in list_runs(here)} and len(list_runs(here)) == 2
    assert not verify(here, [], deep=True)


def test_folders_sharing_a_store_keep_each_others_artifacts(here: Workspace, tmp_path: Path) -> None:
    other = folder(tmp_path / "other", here.store.root)
    theirs = make(other, "theirs", "of the other folder")
    make(other, "older", "of the other folder, first")
    make(other, "older", "of the other folder, then")
    assert counts(run_gc(here)) == {"objects": 2, "entries": 2}
    with pytest.raises(RequestRefused):
        run_gc(here, forget=(tmp_path / "other",))
    with pytest.raises(RequestRefused):
        run_gc(here, forget=(tmp_path / "never",))
    (tmp_path / "other").rename(tmp_path / "not mounted")
    seen = run_gc(here)
    assert seen.removed == () and [root.visible for root in seen.roots] == [True, False]
    assert here.store.is_complete(theirs)
    assert counts(run_gc(here, forget=(tmp_path / "other",))) == {"objects": 2, "entries": 2}
    assert [root.folder.name for root in run_gc(here).roots] == ["here"]


@pytest.mark.parametrize("name", ["kept.manifest.json", "../runs/one/run.json"])
@pytest.mark.parametrize("content", [b"\xff", b"{", b"[1]", b"{}"])
def test_damaged_manifest_or_named_run_loses_nothing(here: Workspace, name: str, content: bytes) -> None:
    here.root.register()
    shutil.rmtree(here.graph)
    here.root.register()
    if "runs" in name:
        here.manifest_path("kept").unlink()
        (here.runs / "one").mkdir(parents=True)
    (here.results / name).write_bytes(content)
    for _ in range(2):  # the first rewrites the list
        assert counts(run_gc(here)) == {}


def test_damaged_record_of_a_folder_refuses_to_collect(here: Workspace, tmp_path: Path) -> None:
    other = folder(tmp_path / "other", here.store.root)
    theirs = make(other, "theirs", "of the other folder")
    (other.root.record / "folder.json").write_bytes(b"\xff")
    with pytest.raises(UnreadableState, match="folder.json, which names a folder whose artifacts must be kept"):
        run_gc(here)
    assert here.store.is_complete(theirs)


def test_a_full_disk_can_be_collected(here: Workspace) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limit[1]))  # Python ignores SIGXFSZ
    try:
        assert counts(run_gc(here)) == {"objects": 1, "entries": 1}
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert run_gc(here).removed == ()


def test_damaged_notes_of_a_folder_are_no_text(here: Workspace) -> None:
    root = here.root
    for path in (root.record / "actions", here.graph / "host"):
        path.write_bytes(b"\xff\n" + path.read_bytes())
    assert len(root.listed()) == 2 and here.root.host.endswith(f"\n{platform.node()}")


def test_list_of_another_hosts_folder_is_trusted(here: Workspace, tmp_path: Path) -> None:
    other = folder(tmp_path / "other", here.store.root)
    theirs = make(other, "theirs", "made on a cluster")
    record = other.root.record / "folder.json"
    (tmp_path / "other/results/.graph/host").write_text("login1\n")
    record.write_text(json.dumps({**json.loads(record.read_text()), "host": "login1"}))
    run_gc(here)
    assert here.store.is_complete(theirs)  # the same folder, on a file system of both hosts
    shutil.rmtree(tmp_path / "other")
    (tmp_path / "other/results").mkdir(parents=True)  # another folder of that path, or an empty mount point
    assert not run_gc(here).roots[1].visible and here.store.is_complete(theirs)


def test_older_than_keeps_recent_artifacts(here: Workspace) -> None:
    assert run_gc(here, older_than=DAY).removed == ()
    assert counts(run_gc(here, older_than=DAY, later=2 * DAY)) == {"objects": 1, "entries": 1}


def test_leftovers_are_deleted_unless_in_use(here: Workspace) -> None:
    store, work = here.store, here.work
    stale, running = "a" * 64, "b" * 64
    unfinished = Action({**here.action("kept").value, "params": {"text": "interrupted"}})
    here.mark("kept", State.BUILD, unfinished)
    for name in (stale, running, unfinished.digest, "differing/" + stale, "set_aside/kept.0", "rebuild.killed"):
        (work / name).mkdir(parents=True)
        (work / name / "file").write_text("x")
    for action in (stale, running, unfinished.digest):
        here.metrics_path(action).parent.mkdir(exist_ok=True)
        here.metrics_path(action).write_text("x")
    (here.code / stale / "tree").mkdir(parents=True)
    (here.code / stale / "tree").chmod(0o555)
    (store.root / "quarantine").mkdir()
    (store.root / "quarantine/damaged.0").write_text("x")
    (store.root / "objects/00").mkdir(exist_ok=True)
    (store.root / "objects/00" / ("0" * 64)).write_text("no entry refers to it")
    (store.root / "objects/00/.crashed.0123456789abcdef.tmp").write_text("x")
    (store.root / "incoming").mkdir()
    (store.root / "incoming/part").write_text("half")
    (here.runs / ".never.new").mkdir(parents=True)
    store.lock_path(running).parent.mkdir()
    with open(store.lock_path(running), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        first = counts(run_gc(here))
    assert first == {
        **{"objects": 1, "entries": 1, "scratch folders": 1, "differing results": 1, "interrupted moves": 1},
        **{"metrics": 1},
    }
    assert sorted(path.name for path in work.iterdir()) == sorted(
        ["built", "code", "differing", "metrics", "rebuild.killed", "set_aside", running, unfinished.digest]
    )
    second = counts(run_gc(here, later=2 * DAY, quarantine=True))
    assert second == {
        **{"objects": 1, "scratch folders": 2, "interrupted downloads": 1},
        **{"temporary files": 1, "quarantined files": 1, "metrics": 1, "trees of code": 1},
    }
    assert sorted(path.name for path in work.iterdir()) == sorted(
        ["built", "code", "differing", "metrics", "set_aside", unfinished.digest]
    )
    assert not list(here.code.iterdir())
    assert list(here.metrics_path(stale).parent.iterdir()) == [here.metrics_path(unfinished.digest)]


def test_locked_and_queued_actions_are_kept(here: Workspace) -> None:
    garbage = next(entry["manifest"] for _, entry in here.store.entries() if entry["manifest"]["size"] == 400)
    with here.store.lock_action(garbage["action"]):
        assert run_gc(here).removed == ()
    owed = here.store.root / "owed/remote" / garbage["action"]
    owed.parent.mkdir(parents=True)
    owed.touch()
    assert run_gc(here).removed == ()
    owed.unlink()
    assert counts(run_gc(here)) == {"objects": 1, "entries": 1}


KILLED = """
import os, signal, sys, time
from tapeout.graph.upkeep.gc import GcOptions, collect
from tapeout.graph.workspace import Workspace
left = int(sys.argv[1])
def count(event, arguments):
    global left
    if event in ("os.remove", "os.rmdir", "os.rename"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(count)
collect(Workspace.here(), GcOptions(keep_runs=0), False, time.time())
"""


def test_next_collection_finishes_a_killed_one(here: Workspace, tmp_path: Path) -> None:
    save(here, "run", pinned=False)
    make(here, "made", "from kept", "kept")
    make(here, "kept", "newer")
    (here.work / ("a" * 64)).mkdir()
    shutil.copytree(tmp_path / "here", tmp_path / "whole/here", symlinks=True)
    shutil.move(here.store.root, tmp_path / "whole/here/store")
    whole = folder(tmp_path / "whole/here", tmp_path / "whole/here/store")
    after: dict[int, list[str]] = {}
    for moment in range(100):
        copy = tmp_path / f"killed-{moment}"
        shutil.copytree(tmp_path / "whole/here", copy)
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(moment)],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        workspace = folder(copy, copy / "store")
        assert verify(workspace, ["kept", "made"], deep=True) == []
        for entry in (entry for _, entry in workspace.store.entries()):
            found = Manifest.from_json(entry["manifest"])
            assert not workspace.store.is_complete(found) or workspace.store.verify_objects(found)
        run_gc(workspace, keep_runs=0)
        after[moment] = files(workspace.store)
        assert not list(workspace.runs.iterdir()) and not list(workspace.work.glob("a*"))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert moment > 8 and len({tuple(left) for left in after.values()}) == 1
    assert files(whole.store) != after[0]


def test_collecting_during_a_build_changes_nothing(project: Project) -> None:
    process = begin_slow_model(project)
    workspace, collections = workspace_of(project), 0
    while process.poll() is None:
        run_gc(workspace)
        collections += 1
    text, _ = process.communicate()
    assert process.returncode == 0, text
    assert collections > 5
    beside = project.digests()
    assert not verify(workspace, [], deep=True)
    shutil.rmtree(project.path("results"))
    shutil.rmtree(project.path("store"))
    project.run()
    assert project.digests() == beside


def test_restore_during_collections_and_revert_after(built: Project) -> None:
    workspace = workspace_of(built)
    first = built.digests()
    save(workspace, "before", pinned=False)
    built.edit("config.yaml", "lr: 1", "lr: 5")
    built.run()
    second = built.digests()
    run_gc(workspace)
    built.edit("config.yaml", "lr: 5", "lr: 1")
    process = subprocess.Popen(built.command(), cwd=built.root, env=built.variables(), stderr=subprocess.DEVNULL)
    while process.poll() is None:
        run_gc(workspace)
    assert process.returncode == 0
    assert built.digests() == first  # the named run kept it
    run_gc(workspace)
    built.edit("config.yaml", "lr: 1", "lr: 5")
    assert built.run().built == ["model", "report.txt"]  # the second was unreferenced and deleted
    assert built.digests() == second
    assert replace(workspace, results=workspace.runs / "before").manifest("model") is not None


def test_nothing_outside_of_the_store_is_deleted_or_written(here: Workspace, tmp_path: Path) -> None:
    home, store = tmp_path / "home", here.store.root
    for name in ("notes.json", "a" * 64 + ".json", "part", "ab/text"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("precious")
    before = sorted(home.rglob("*"))
    for name in ("objects/ff", "actions/ff", "signatures/ff", "definitions/ff", "quarantine", "incoming", "owed"):
        (store / name).parent.mkdir(exist_ok=True)
        (store / name).symlink_to(home)
    (home / "results").mkdir()  # a folder that no run has used, recorded as one that uses the store
    root = Root(here.store, home / "results", home / "runs", platform.node())
    root.record.mkdir(parents=True)
    (root.record / "folder.json").write_text(
        json.dumps({"results": str(home / "results"), "runs": str(home / "runs"), "host": platform.node()})
    )
    (store / "journal.jsonl").unlink(missing_ok=True)
    (store / "journal.jsonl").symlink_to(home / "notes.json")
    run_gc(here, later=9 * DAY, quarantine=True)
    here.store.append_journal({"artifact": "kept", "action": "0" * 64, "finished": FINISHED})
    assert sorted(home.rglob("*")) == sorted([*before, home / "results"])
    assert (home / "notes.json").read_text() == "precious" and len(here.store.journal()) == 1
